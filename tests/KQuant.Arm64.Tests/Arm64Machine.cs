using System.Diagnostics;
using System.Runtime.InteropServices;
using KQuant.Arm64.Exports;

namespace KQuant.Arm64.Tests;

/// <summary>An emulated ARM64 processor that runs kernels: one process that answers any number of requests.</summary>
internal sealed class Arm64Machine : IDisposable
{
    /// <summary>Far beyond what any request takes, even under emulation on a busy machine: a host that hangs is a failure.</summary>
    private static readonly TimeSpan TimeLimit = TimeSpan.FromMinutes(5);

    private readonly string _processor;
    private readonly Process _process;
    private readonly Task<string> _errors;

    /// <param name="processor">A processor that <c>qemu-aarch64-static -cpu help</c> lists.</param>
    public Arm64Machine(string processor)
    {
        _processor = processor;
        _process = Process.Start(new ProcessStartInfo(Arm64Gate.Emulator, ["-cpu", processor, Arm64Gate.Host])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        _errors = _process.StandardError.ReadToEndAsync();
    }

    /// <summary>Sends a request and waits for the answer.</summary>
    /// <param name="request">What to run; lengths and flags are filled in.</param>
    /// <param name="buffers">The buffers; those marked as outputs are overwritten.</param>
    /// <returns>The status.</returns>
    public unsafe int Run(Request request, params ReadOnlySpan<RequestBuffer> buffers)
    {
        for (int i = 0; i < buffers.Length; i++)
        {
            request.Lengths[i] = buffers[i].Bytes.Length;
            request.Flags[i] = buffers[i].Flags;
        }

        try
        {
            Stream input = _process.StandardInput.BaseStream;
            input.Write(MemoryMarshal.AsBytes(new ReadOnlySpan<Request>(ref request)));
            foreach (RequestBuffer buffer in buffers)
            {
                input.Write(buffer.Bytes);
            }

            input.Flush();
            byte[] status = new byte[sizeof(int)];
            Read(status);
            foreach (RequestBuffer buffer in buffers)
            {
                if ((buffer.Flags & Request.Output) != 0)
                {
                    Read(buffer.Bytes);
                }
            }

            return BitConverter.ToInt32(status);
        }
        catch (IOException)
        {
            _process.WaitForExit(TimeLimit);
            throw new InvalidOperationException(
                $"The host on {_processor} ended with {_process.ExitCode} (139: it touched memory that is not its own). {_errors.Result}");
        }
    }

    public void Dispose()
    {
        _process.StandardInput.Close();
        if (!_process.WaitForExit(TimeLimit))
        {
            _process.Kill();
        }

        _process.Dispose();
    }

    private void Read(byte[] bytes)
    {
        using var limit = new CancellationTokenSource(TimeLimit);
        _process.StandardOutput.BaseStream.ReadExactlyAsync(bytes, limit.Token).AsTask().GetAwaiter().GetResult();
    }
}

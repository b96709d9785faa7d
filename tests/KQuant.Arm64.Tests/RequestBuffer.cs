using System.Runtime.InteropServices;
using KQuant.Arm64.Exports;

namespace KQuant.Arm64.Tests;

/// <summary>Bytes that go to the emulated machine, and perhaps come back.</summary>
internal readonly record struct RequestBuffer(byte[] Bytes, int Flags)
{
    /// <summary>Something to read.</summary>
    public static RequestBuffer Input(byte[] bytes) => new(bytes, 0);

    /// <summary>Something to read.</summary>
    public static unsafe RequestBuffer Input(void* start, int bytes) => new(new ReadOnlySpan<byte>(start, bytes).ToArray(), 0);

    /// <summary>Something to write, full of ones at first.</summary>
    public static RequestBuffer Output(int bytes)
    {
        byte[] ones = new byte[bytes];
        ones.AsSpan().Fill(0xFF);
        return new RequestBuffer(ones, Request.Output);
    }

    /// <summary>Room to work in, aligned and full of ones at first.</summary>
    public static RequestBuffer Scratch(nint bytes) => Output((int)bytes) with { Flags = Request.Aligned };

    /// <summary>The bytes as numbers.</summary>
    public T[] As<T>()
        where T : unmanaged => MemoryMarshal.Cast<byte, T>(Bytes).ToArray();
}

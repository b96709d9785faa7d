using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text;

namespace KQuant.Cli.Benchmarks;

/// <summary>What a measurement was taken on.</summary>
internal static partial class MachineName
{
    /// <summary>The processor's own name, or its architecture if it has none.</summary>
    public static string Processor { get; } =
        FromProcessor() ?? FromMacOS() ?? FromLinux() ?? $"{RuntimeInformation.ProcessArchitecture} processor";

    /// <summary>The .NET runtime with its version.</summary>
    public static string Runtime => RuntimeInformation.FrameworkDescription;

    private static string? FromProcessor()
    {
        const int FirstBrandLeaf = unchecked((int)0x8000_0002), BrandLeaves = 3;
        if (!X86Base.IsSupported)
        {
            return null;
        }

        Span<int> registers = stackalloc int[4 * BrandLeaves];
        for (int leaf = 0; leaf < BrandLeaves; leaf++)
        {
            (registers[4 * leaf], registers[(4 * leaf) + 1], registers[(4 * leaf) + 2], registers[(4 * leaf) + 3]) =
                X86Base.CpuId(FirstBrandLeaf + leaf, 0);
        }

        return Clean(Encoding.ASCII.GetString(MemoryMarshal.AsBytes(registers)));
    }

    private static string? FromMacOS()
    {
        if (!OperatingSystem.IsMacOS())
        {
            return null;
        }

        byte[] name = new byte[256];
        nint length = name.Length;
        return SysCtlByName("machdep.cpu.brand_string", name, ref length, 0, 0) == 0 ? Clean(Encoding.UTF8.GetString(name)) : null;
    }

    private static string? FromLinux() => !File.Exists("/proc/cpuinfo") ? null : Clean(File.ReadLines("/proc/cpuinfo")
        .FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':')[^1]);

    private static string? Clean(string? name)
    {
        string trimmed = (name ?? "").Split('\0')[0].Trim();
        return trimmed.Length > 0 ? trimmed : null;
    }

    [LibraryImport("libc", EntryPoint = "sysctlbyname", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SysCtlByName(string name, byte[] value, ref nint length, nint newValue, nint newLength);
}

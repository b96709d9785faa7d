using System.Runtime.InteropServices;

namespace KQuant.Metal.Tests.Emulation;

/// <summary>What the software device is told to do wrong.</summary>
[Flags]
public enum Failures
{
    None = 0,
    NoDevice = 1,
    NoDefaultDevice = 2,
    Pipeline = 4,
    Commit = 8,
    Compile = 16,
    Queue = 32,
    Buffer = 64,
    OldCompileOptions = 128,
    EmptyNoCopy = 1 << 8,
    NilNoCopy = 1 << 9,
    StaleNoCopy = 1 << 10,
    Width64 = 1 << 11,
    FewThreads = 1 << 12,
    SmallBuffers = 1 << 13,
    OutOfMemory = 1 << 14,
    RefusedLibrary = 1 << 15,
    OldFamily = 1 << 16,
    SeparateMemory = 1 << 17,
    SmallWorkingSet = 1 << 18,
    TowardZero = 1 << 19,
    NarrowShuffle = 1 << 20,
    MatrixBackward = 1 << 21,
    NoMatrixPipeline = 1 << 22,
}

/// <summary>How the emulator runs kernels.</summary>
/// <param name="Seed">The order of threads; 0 is ascending.</param>
/// <param name="FlushSubnormals">Whether subnormal floats are zero, as on Apple's GPUs.</param>
internal readonly record struct RunMode(int Seed = 0, bool FlushSubnormals = false)
{
    /// <summary>The modes in which every kernel is tested.</summary>
    public static IReadOnlyList<RunMode> All { get; } = [new(), new(Seed: 12345), new(Seed: 977, FlushSubnormals: true)];
}

/// <summary>
/// The device of <c>tests/metal</c>, put in the place of Metal: the backend's imports resolve to it, and nothing in the backend knows.
/// </summary>
internal static unsafe class SoftwareDevice
{
    private static nint Library { get; set; }

    /// <summary>What was built; null where Metal itself is tested, or nothing.</summary>
    public static ShaderBuild? Build { get; private set; }

    /// <summary>Objective-C objects that were not freed; 0 where Metal itself is tested.</summary>
    public static long LiveObjects => Build is null ? 0 : ((delegate* unmanaged<nint>)Export("kq_live_objects"))();

    /// <summary>Buffers made of memory that was there already, since <see cref="Configure"/>.</summary>
    public static long NoCopyBuffers => ((delegate* unmanaged<nint>)Export("kq_no_copy_buffers"))();

    /// <summary>Command buffers since <see cref="Configure"/>.</summary>
    public static long CommandBuffers => ((delegate* unmanaged<nint>)Export("kq_command_buffers"))();

    /// <summary>The last math mode that a compilation asked for: 0 safe, -1 none.</summary>
    public static int MathMode => ((delegate* unmanaged<int>)Export("kq_math_mode"))();

    /// <summary>The last version of the language that a compilation asked for; 0 for none.</summary>
    public static nuint LanguageVersion => ((delegate* unmanaged<nuint>)Export("kq_language_version"))();

    /// <summary>The first thing that Metal's validation layer would have complained about; empty if nothing.</summary>
    public static string Misuse => Marshal.PtrToStringUTF8(((delegate* unmanaged<nint>)Export("kq_misuse"))()) ?? "";

    /// <summary>Builds it and puts it in place, once.</summary>
    /// <returns>Whether this machine can build it.</returns>
    public static bool TryInstall()
    {
        if (Build is null && ShaderBuild.Create() is { } build)
        {
            Install(build);
        }

        return Build is not null;
    }

    private static void Install(ShaderBuild build)
    {
        Build = build;
        Library = NativeLibrary.Load(build.Device);
        NativeLibrary.SetDllImportResolver(typeof(MetalBackend).Assembly, static (name, assembly, path) => Library);
    }

    /// <summary>Skips a test that is about the emulation.</summary>
    public static void Require()
    {
        if (Build is null)
        {
            Assert.Ignore("runs on the software device");
        }
    }

    /// <summary>Sets the mode and the failures, and forgets misuse. Nothing happens where Metal itself is tested.</summary>
    public static void Configure(RunMode mode = default, Failures failures = Failures.None, string? library = null)
    {
        if (Build is null)
        {
            return;
        }

        nint path = Marshal.StringToCoTaskMemUTF8(library ?? Build.Shaders);
        ((delegate* unmanaged<uint, uint, nint, void>)Export("kq_configure"))(
            (uint)((mode.FlushSubnormals ? 1 : 0) | (mode.Seed << 8)), (uint)failures, path);
        Marshal.FreeCoTaskMem(path);
    }

    private static nint Export(string name) => NativeLibrary.GetExport(Library, name);
}

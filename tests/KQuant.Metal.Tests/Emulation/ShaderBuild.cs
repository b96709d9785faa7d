using System.Runtime.Intrinsics.X86;
using System.Security.Cryptography;
using System.Text;
using KQuant.TestKit;

namespace KQuant.Metal.Tests.Emulation;

/// <summary>
/// Compiles what <c>tests/metal</c> holds and the shaders that the assembly carries, once for each state of them, below <c>artifacts/</c>.
/// </summary>
internal sealed class ShaderBuild
{
    private static readonly string[] Dialect =
    [
        "-std=c++14", "-fno-exceptions", "-fno-rtti", "-ffp-contract=off", "-fno-fast-math", "-Wall", "-Wextra", "-Wno-unknown-attributes",
        "-Wno-unused-parameter", "-Wno-unused-function", "-Werror", "-Werror=double-promotion", .. Fused,
    ];

    // Without it every fma of a shader is a call.
    private static string[] Fused => Fma.IsSupported ? ["-mfma"] : [];

    // Every load and store is reported to runtime.cpp, in the place of the sanitizer's own library.
    private static string[] Watched => ["-fsanitize=thread", "-mllvm", "-tsan-instrument-func-entry-exit=0"];

    private readonly Tool _clang;
    private readonly Tool _gcc;
    private readonly string _sources = Path.Combine(RepositoryFiles.Root, "tests", "metal");

    private ShaderBuild(Tool clang, Tool gcc)
    {
        _clang = clang;
        _gcc = gcc;
        Folder = Path.Combine(RepositoryFiles.Root, "artifacts", "metal", Fingerprint());
    }

    /// <summary>What has to be installed.</summary>
    public static string Requirement => "clang 19 and gcc's Objective-C (apt-get install clang-19 gobjc)";

    /// <summary>Where the results are.</summary>
    public string Folder { get; }

    /// <summary>The Objective-C runtime and the software device.</summary>
    public string Device => Path.Combine(Folder, "device.so");

    /// <summary>The shaders of the assembly.</summary>
    public string Shaders => Path.Combine(Folder, "shaders.so");

    /// <summary>Shaders that do what must not be done.</summary>
    public string FaultyShaders => Path.Combine(Folder, "faulty.so");

    /// <summary>Builds, unless it is built; null where the compilers are missing.</summary>
    public static ShaderBuild? Create()
    {
        Tool? clang = Tool.Find("clang++-19", "clang++-20", "clang++-18", "clang++"), gcc = Tool.Find("gcc");
        if (clang is null || gcc is null || gcc.Run(Path.GetTempPath(), "-x", "objective-c", "-fsyntax-only", "-include", "objc/objc.h", "/dev/null").Length > 0)
        {
            return null;
        }

        var build = new ShaderBuild(clang, gcc);
        if (!Directory.Exists(build.Folder))
        {
            build.Build();
        }

        return build;
    }

    /// <summary>Lets clang check address spaces, which the compiled shaders do not have.</summary>
    /// <returns>Its errors; empty if there are none.</returns>
    public string CheckAddressSpaces(string cpp) =>
        _clang.Run(Folder, ["-x", "c++", .. Dialect, "-fsyntax-only", "-DKQ_ADDRESS_SPACES", $"-I{_sources}", cpp]);

    /// <summary>Compiles shaders for a GPU that clang knows.</summary>
    /// <returns>Assembly, to be looked at.</returns>
    public string CompileForGpu(string source)
    {
        string folder = Directory.CreateTempSubdirectory("kquant-ptx-").FullName;
        try
        {
            string file = Path.Combine(folder, "kquant.cpp"), ptx = Path.Combine(folder, "kquant.ptx");
            File.WriteAllText(file, ShaderTranslator.RenameAttributes(source));
            Must(_clang.Run(
                folder,
                "--target=nvptx64-nvidia-cuda", "-march=sm_80", "-nogpulib", "-Xclang", "-target-feature", "-Xclang", "+ptx70", "-ffreestanding",
                "-std=c++14", "-ffp-contract=off", "-O2", "-S", "-DKQ_GPU", "-Wno-unknown-attributes", $"-I{_sources}", file, "-o", ptx));
            return File.ReadAllText(ptx);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Preprocesses and translates shaders that lie in a folder; the names of the preprocessed text and of the C++.</summary>
    public (string Preprocessed, string Cpp) Translate(string folder, string root, string source)
    {
        // An empty library: what it defines has to stay as it is.
        string name = Path.GetFileNameWithoutExtension(root), empty = Directory.CreateDirectory(Path.Combine(folder, "empty")).FullName;
        File.WriteAllText(Path.Combine(empty, "metal_stdlib"), "");
        string preprocessed = Path.Combine(folder, $"{name}.ii"), cpp = Path.Combine(folder, $"{name}.cpp");
        Must(_clang.Run(folder, "-E", "-x", "c++", "-nostdinc", $"-I{empty}", root, "-o", preprocessed));
        File.WriteAllText(cpp, ShaderTranslator.Translate(File.ReadAllText(preprocessed), source));
        return (preprocessed, cpp);
    }

    private static void Must(string errors)
    {
        if (errors.Length > 0)
        {
            throw new InvalidOperationException(errors);
        }
    }

    private void Build()
    {
        string work = $"{Folder}.{Environment.ProcessId}";
        Directory.CreateDirectory(work);
        foreach ((string name, byte[] text) in ShippedShaders())
        {
            File.WriteAllBytes(Path.Combine(work, name), text);
        }

        Parallel.Invoke(
            () => BuildLibrary(work, "kquant.metal", "shaders.so", ShaderLibrary.GetSource(), "-O1"),
            () =>
            {
                BuildDevice(work);
                File.Copy(Path.Combine(_sources, "faulty.metal"), Path.Combine(work, "faulty.metal"));
                BuildLibrary(work, "faulty.metal", "faulty.so", "", "-O1", "-ffp-contract=fast");
            });
        Directory.Move(work, Folder);
    }

    private void BuildLibrary(string folder, string root, string library, string source, params string[] flags)
    {
        (_, string cpp) = Translate(folder, root, source);
        Must(_clang.Run(
            folder,
            [
                "-x", "c++", .. Dialect, .. Watched, .. flags, "-fPIC", "-fvisibility=hidden", $"-I{_sources}", cpp, "-c", "-o", $"{library}.o",
            ]));
        Must(_clang.Run(folder, "-std=c++17", "-O2", "-fPIC", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-shared",
            $"-I{_sources}", Path.Combine(_sources, "runtime.cpp"), $"{library}.o", "-o", library));
    }

    private void BuildDevice(string folder) => Must(_gcc.Run(
        folder,
        "-std=gnu11", "-O1", "-fPIC", "-Wall", "-Wextra", "-Werror", "-shared",
        Path.Combine(_sources, "device.m"), Path.Combine(_sources, "foundation.m"), Path.Combine(_sources, "msgsend.S"),
        "-lobjc", "-ldl", "-o", "device.so"));

    private static IEnumerable<(string Name, byte[] Text)> ShippedShaders()
    {
        foreach (string name in typeof(MetalBackend).Assembly.GetManifestResourceNames().Where(name => name.EndsWith(".metal", StringComparison.Ordinal)))
        {
            using Stream stream = typeof(MetalBackend).Assembly.GetManifestResourceStream(name)!;
            using var copy = new MemoryStream();
            stream.CopyTo(copy);
            yield return (name, copy.ToArray());
        }
    }

    private string Fingerprint()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach ((string name, byte[] text) in ShippedShaders().OrderBy(shader => shader.Name, StringComparer.Ordinal))
        {
            hash.AppendData(Encoding.UTF8.GetBytes(name));
            hash.AppendData(text);
        }

        foreach (string file in Directory.GetFiles(_sources).Order(StringComparer.Ordinal))
        {
            hash.AppendData(File.ReadAllBytes(file));
        }

        // The compiler's flags and the translator are part of it.
        hash.AppendData(typeof(ShaderBuild).Assembly.ManifestModule.ModuleVersionId.ToByteArray());
        return Convert.ToHexStringLower(hash.GetHashAndReset().AsSpan(0, 8));
    }
}

using System.Runtime.InteropServices;
using System.Security.Cryptography;
using KQuant.TestKit;

namespace KQuant.Arm64.Tests;

/// <summary>
/// Whether kernels can be run here. They are the shipped ones, compiled by <c>tests/arm64/build.sh</c> for an emulated processor; where
/// that is not possible these tests are ignored, but not on a CI machine that should be able to.
/// </summary>
[SetUpFixture]
public class Arm64Gate
{
    public const string Emulator = "qemu-aarch64-static";

    private static string Folder => Path.Combine(RepositoryFiles.Root, "artifacts", "arm64");

    public static string Host => Path.Combine(Folder, "host");

    [OneTimeSetUp]
    public void RequireHost()
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.OSArchitecture != Architecture.X64)
        {
            Assert.Ignore("ARM64 kernels are compiled and emulated on x86-64 Linux; an ARM64 machine tests them with all others.");
        }

        string? reason = Explain();
        if (reason is not null && SystemTools.AreRequired("arm64"))
        {
            Assert.Fail(reason);
        }
        else if (reason is not null)
        {
            Assert.Ignore(reason);
        }
    }

    private static string? Explain()
    {
        string path = Environment.GetEnvironmentVariable("PATH") ?? "";
        if (!path.Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, Emulator))))
        {
            return $"{Emulator} is not installed; tests/arm64/build.sh says what is needed.";
        }

        if (!File.Exists(Host))
        {
            return $"{Host} does not exist; run tests/arm64/build.sh.";
        }

        foreach (string line in File.ReadLines(Path.Combine(Folder, "host.sha256")))
        {
            string[] parts = line.Split("  ");
            string assembly = Path.Combine(AppContext.BaseDirectory, parts[1]);
            if (Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(assembly))) != parts[0])
            {
                return $"{Host} was compiled from another {parts[1]} than the one beside the tests; run tests/arm64/build.sh.";
            }
        }

        return null;
    }
}

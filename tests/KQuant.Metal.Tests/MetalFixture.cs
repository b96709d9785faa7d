using KQuant.Matmul;
using KQuant.Matmul.Backends;
using KQuant.Metal.Tests.Emulation;
using KQuant.TestKit;

namespace KQuant.Metal.Tests;

/// <summary>
/// Decides what the tests run on: Metal on a Mac with a device, the software device on Linux. A machine with neither skips them, visibly;
/// on Linux in continuous integration that is a failure.
/// </summary>
[SetUpFixture]
public class MetalFixture
{
    private static readonly MatmulContext Context = new(new MatmulOptions { Activations = ActivationPrecision.Float32, MaxDegreeOfParallelism = 1 });

    /// <summary>Products of the processor in float32.</summary>
    internal static ManagedBackend Reference { get; } = new(Context);

    [OneTimeSetUp]
    public void Choose()
    {
        if (OperatingSystem.IsLinux())
        {
            bool isThere = SoftwareDevice.TryInstall();
            if (!isThere && SystemTools.AreRequired("metal"))
            {
                Assert.Fail($"The Metal gate needs {ShaderBuild.Requirement}.");
            }

            if (!isThere)
            {
                Assert.Ignore($"The Metal gate needs {ShaderBuild.Requirement}.");
            }
        }

        SoftwareDevice.Configure();
        if (!MetalBackend.TryCreate(out MetalBackend? backend, out string? reason))
        {
            TestContext.Progress.WriteLine($"Metal is not used: {reason}.");
            Assert.Ignore($"Metal is not used: {reason}.");
        }

        using (backend)
        {
            TestContext.Progress.WriteLine(
                $"Running on {backend.Name}; shaders {(MetalBackend.IsPrecompiled ? "precompiled" : "compiled at run time")}; mapped files "
                + $"{(backend.ReadsMappedFiles ? "read in place" : "copied")}; matrix units {(backend.UsesMatrixUnits ? "used" : "not used")}.");
        }
    }

    [OneTimeTearDown]
    public void End()
    {
        Reference.Dispose();
        Context.Dispose();
    }
}

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
    private static readonly MatmulContext Context = new(new MatmulOptions { Activations = ActivationPrecision.Float32, MaxThreads = 1 });

    /// <summary>Products of the processor in float32.</summary>
    internal static ManagedBackend Reference { get; } = new(Context);

    [OneTimeSetUp]
    public void Choose()
    {
        if (OperatingSystem.IsLinux())
        {
            if (ShaderBuild.Create() is { } build)
            {
                SoftwareDevice.Install(build);
            }
            else if (SystemTools.AreRequired("metal"))
            {
                Assert.Fail($"The Metal gate needs {ShaderBuild.Requirement}.");
            }
            else
            {
                Assert.Ignore($"The Metal gate needs {ShaderBuild.Requirement}.");
            }
        }
        else if (!MetalBackend.IsSupported)
        {
            Assert.Ignore("This machine has no Metal device.");
        }

        SoftwareDevice.Configure();
        using var backend = MetalBackend.Create();
        TestContext.Progress.WriteLine($"Running on {backend.Name}; shaders {(MetalBackend.IsPrecompiled ? "precompiled" : "compiled at run time")}.");
    }

    [OneTimeTearDown]
    public void End()
    {
        Reference.Dispose();
        Context.Dispose();
    }
}

using KQuant.Codecs;
using KQuant.Matmul.Backends;
using KQuant.Metal.Tests.Emulation;

namespace KQuant.Metal.Tests;

/// <summary>After every test nothing is left on the device, and nothing was done that Metal's validation layer rejects.</summary>
public abstract class MetalTest
{
    private long _liveBefore;

    /// <summary>All codecs that there are shaders for.</summary>
    public static IEnumerable<QuantFormat> Formats =>
        from codec in QuantCodec.All where ShaderLibrary.Codecs.Contains(codec.Name) select codec.Format!.Value;

    /// <summary>The processor: what every result is compared with.</summary>
    private protected static ManagedBackend Reference => MetalFixture.Reference;

    [SetUp]
    public void Reset()
    {
        SoftwareDevice.Configure();
        _liveBefore = SoftwareDevice.LiveObjects;
    }

    [TearDown]
    public void NothingIsLeft()
    {
        if (SoftwareDevice.Build is not null)
        {
            Assert.Multiple(() =>
            {
                Assert.That(SoftwareDevice.Misuse, Is.Empty);
                Assert.That(SoftwareDevice.LiveObjects - _liveBefore, Is.Zero, "live objects");
            });
        }
    }

    /// <summary>Runs a test in every mode of the emulator, or once on a device.</summary>
    /// <param name="test">The test.</param>
    /// <param name="kernel">The kernel that is to be seen: without matrix units, if it is one of those that take their place.</param>
    private protected static void InAllModes(Action<MetalBackend> test, string kernel = "")
    {
        Failures failures = kernel.EndsWith("_tiles", StringComparison.Ordinal) ? Failures.MatrixBackward : Failures.None;
        foreach (RunMode mode in SoftwareDevice.Build is null ? [default] : RunMode.All)
        {
            SoftwareDevice.Configure(mode, failures);
            using var backend = MetalBackend.Create();
            test(backend);
        }
    }
}

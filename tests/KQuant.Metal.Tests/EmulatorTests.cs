using KQuant.Metal.ObjC;
using KQuant.Metal.Tests.Emulation;

namespace KQuant.Metal.Tests;

/// <summary>The emulator notices what a GPU would not forgive; a gate that cannot fail proves nothing.</summary>
public class EmulatorTests : MetalTest
{
    private const int Threads = 64;

    [SetUp]
    public void NeedsTheSoftwareDevice() => SoftwareDevice.Require();

    [TestCase("divergent_barrier", "divergent barrier at faulty.metal:6")]
    [TestCase("divergent_shuffle", "divergent exchange at faulty.metal:11")]
    [TestCase("different_shuffles", "divergent exchange at faulty.metal:")]
    [TestCase("write_beyond_threadgroup_memory", "write beyond threadgroup memory")]
    [TestCase("read_beyond_buffer", "access beyond a buffer")]
    public void AFaultIsAnErrorWithItsPlace(string kernel, string error) => Assert.That(
        () => Run(kernel, default, 1f),
        Throws.InstanceOf<MetalException>().With.Message.StartsWith($"software device failed: {kernel}: {error}"));

    [Test]
    public void ThreadgroupMemoryStartsPoisoned() => Assert.That(Run("read_unwritten", default, 1f), Is.All.NaN);

    [Test]
    public void AMissingBarrierShowsWhenThreadsRunInAnotherOrder()
    {
        Assert.That(Run("read_without_barrier", default, 0f), Is.All.EqualTo(1f));
        Assert.That(Run("read_without_barrier", new RunMode(Seed: 1), 0f), Has.Some.NaN);
    }

    [Test]
    public void SubnormalsAreFlushedOnDemand()
    {
        Assert.That(Run("scale_subnormals", default, 1e-38f), Is.All.EqualTo(5e-39f).Within(1).Ulps);
        Assert.That(Run("scale_subnormals", new RunMode(FlushSubnormals: true), 1e-38f), Is.All.Zero);
    }

    [Test]
    public void EveryThreadRunsOnce() => Assert.That(
        Run("give_thread_numbers", new RunMode(Seed: 7), 0f), Is.EqualTo(Enumerable.Range(0, Threads).Select(i => (float)i)));

    [Test]
    public void AddressSpacesOfTheShadersAreRight() => Assert.That(Check(ShaderLibrary.GetSource()), Is.Empty);

    [TestCase("device const uchar* weights,", "const uchar* weights,")]
    [TestCase("threadgroup float* tile)", "device float* tile)")]
    [TestCase("(device const Block*)", "(const Block*)")]
    public void AWrongAddressSpaceIsAnError(string right, string wrong)
    {
        string source = ShaderLibrary.GetSource(), changed = source.Replace(right, wrong, StringComparison.Ordinal);
        Assert.That(changed, Is.Not.EqualTo(source));
        Assert.That(Check(changed), Does.Contain("address space").Or.Contain("no matching function"));
    }

    [TestCase("uint team;", "uint half;", "poisoned")]
    [TestCase("quotient_of(", "divide(", "ambiguous")]
    public void ANameThatMetalHasIsAnError(string right, string wrong, string error) => Assert.That(
        Check(ShaderLibrary.GetSource().Replace(right, wrong, StringComparison.Ordinal)), Does.Contain(error));

    [TestCase("kernel void k(device float* x) { }", "'device float* x' has no attribute")]
    [TestCase("kernel void k(uint i [[thread_position_in_grid]]) { threadgroup float shared[4]; }", "has to be a parameter")]
    public void ARuleThatIsBrokenIsAnError(string source, string error) =>
        Assert.That(() => ShaderTranslator.Translate(source, source), Throws.InstanceOf<FormatException>().With.Message.Contains(error));

    private static float[] Run(string kernel, RunMode mode, float value)
    {
        SoftwareDevice.Configure(mode);
        using MetalDevice device = MetalDevice.Open()!;
        using ObjCObject library = device.LoadLibrary(SoftwareDevice.Build!.FaultyShaders);
        using ObjCObject pipeline = device.CreatePipeline(library, kernel, Threads);
        using DeviceBuffer buffer = device.CreateBuffer(Threads * sizeof(float));
        buffer.Values<float>().Fill(value);
        var command = new DeviceCommand(pipeline, new MTLSize(1, 1, 1), Threads, threadgroupBytes: Threads * sizeof(float));
        command.Bind(0, argumentIndex: 1, buffer);
        try
        {
            device.Run([command]);
            return buffer.Values<float>().ToArray();
        }
        finally
        {
            command.Release();
        }
    }

    private static string Check(string source)
    {
        string folder = Directory.CreateTempSubdirectory("kquant-shaders-").FullName;
        try
        {
            File.WriteAllText(Path.Combine(folder, "kquant.metal"), source);
            (_, string cpp) = SoftwareDevice.Build!.Translate(folder, "kquant.metal", "");
            return SoftwareDevice.Build.CheckAddressSpaces(cpp);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}

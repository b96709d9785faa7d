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
    [TestCase("read_without_barrier", "threads without a barrier between them meet at byte 0 of threadgroup memory 0")]
    [TestCase("write_neighbours", "threads without a barrier between them meet at byte 4 of buffer 0")]
    public void AFaultIsAnErrorWithItsPlace(string kernel, string error) => Assert.That(
        () => Run(kernel, default, 1f),
        Throws.InstanceOf<MetalException>().With.Message.StartsWith($"software device failed: {kernel}: {error}"));

    [Test]
    public void ThreadgroupMemoryStartsPoisoned() => Assert.That(Run("read_unwritten", default, 1f), Is.All.NaN);

    [TestCase("give_thread_numbers", "two threadgroups write byte ")]
    [TestCase("read_what_others_write", "a threadgroup ")]
    public void ThreadgroupsThatMeetAreAnError(string kernel, string error)
    {
        Assert.That(
            () => Run(kernel, default, 1f, groups: 2),
            Throws.InstanceOf<MetalException>().With.Message.StartsWith($"software device failed: {kernel}: {error}"));
        Assert.That(
            () => Run(kernel, new RunMode(Seed: 5), 1f, groups: 2),
            Throws.InstanceOf<MetalException>().With.Message.StartsWith($"software device failed: {kernel}: {error}"));
    }

    [Test]
    public void NothingRunsBeforeSomebodyWaits()
    {
        using var pool = AutoreleasePool.Open();
        using MetalDevice device = MetalDevice.Open(out _)!;
        using ObjCObject library = device.LoadLibrary(SoftwareDevice.Build!.FaultyShaders);
        using ObjCObject pipeline = device.CreatePipeline(library, "give_thread_numbers", Threads);
        using DeviceBuffer buffer = device.CreateBuffer(Threads * sizeof(float));
        buffer.Values<float>().Fill(-1);
        using var raw = ObjCObject.Own(ObjCRuntime.CreateSystemDefaultDevice())!;
        using var queue = ObjCObject.Own(ObjCRuntime.SendForObject(raw.Id, Selectors.NewCommandQueue))!;
        nint commands = ObjCRuntime.SendForObject(queue.Id, Selectors.CommandBuffer);
        nint encoder = ObjCRuntime.SendForObject(commands, Selectors.ComputeCommandEncoder);
        ObjCRuntime.SendVoid(encoder, Selectors.SetPipeline, pipeline.Id);
        ObjCRuntime.SendVoid(encoder, Selectors.SetBuffer, buffer.Object.Id, 0, 0);
        ObjCRuntime.SendVoid(encoder, Selectors.DispatchGroups, new MTLSize(1, 1, 1), new MTLSize(Threads, 1, 1));
        ObjCRuntime.SendVoid(encoder, Selectors.EndEncoding);
        ObjCRuntime.SendVoid(commands, Selectors.Commit);
        Assert.That(buffer.Values<float>().ToArray(), Is.All.EqualTo(-1f));
        ObjCRuntime.SendVoid(commands, Selectors.WaitUntilCompleted);
        Assert.That(buffer.Values<float>()[5], Is.EqualTo(5f));
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

    private static float[] Run(string kernel, RunMode mode, float value, int groups = 1)
    {
        SoftwareDevice.Configure(mode);
        using MetalDevice device = MetalDevice.Open(out _)!;
        using ObjCObject library = device.LoadLibrary(SoftwareDevice.Build!.FaultyShaders);
        using ObjCObject pipeline = device.CreatePipeline(library, kernel, Threads);
        using DeviceBuffer buffer = device.CreateBuffer(Threads * sizeof(float));
        buffer.Values<float>().Fill(value);
        var command = new DeviceCommand(pipeline, new MTLSize((nuint)groups, 1, 1), Threads, threadgroupBytes: Threads * sizeof(float));
        command.Bind(buffer);
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

using KQuant.Codecs;
using KQuant.Matmul.Backends;
using KQuant.Metal.ObjC;
using KQuant.Metal.Tests.Emulation;
using KQuant.TestKit;

namespace KQuant.Metal.Tests;

/// <summary>Everything that Metal can refuse is an exception with its words, and leaves no object behind.</summary>
public class FailureTests : MetalTest
{
    [SetUp]
    public void NeedsTheSoftwareDevice() => SoftwareDevice.Require();

    [Test]
    public void NoDevice()
    {
        SoftwareDevice.Configure(failures: Failures.NoDevice);
        Assert.Multiple(() =>
        {
            Assert.That(MetalBackend.IsSupported, Is.False);
            Assert.That(() => MetalBackend.Create(), Throws.InstanceOf<PlatformNotSupportedException>());
        });
    }

    [Test]
    public void NoDefaultDeviceButOneInTheList()
    {
        SoftwareDevice.Configure(failures: Failures.NoDefaultDevice);
        using var backend = MetalBackend.Create();
        Assert.Multiple(() =>
        {
            Assert.That(MetalBackend.IsSupported);
            Assert.That(Multiply(backend), Is.True);
        });
    }

    [Test]
    public void NoQueue() => Fails(Failures.Queue, () => MetalBackend.Create(), "Metal made no command queue.");

    [Test]
    public void MissingLibrary() => Fails(
        Failures.None, () => MetalBackend.Create("/nowhere/kquant.metallib"), "Metal cannot load /nowhere/kquant.metallib: /nowhere/kquant.metallib: cannot open");

    [Test]
    public void SourceThatDoesNotCompile() => Fails(
        Failures.Compile, () => MetalBackend.Create(), "Metal cannot compile the shaders: program_source:1:1: error:");

    [Test]
    public void TakesTheCodecsThatTheShadersKnow()
    {
        using var backend = MetalBackend.Create();
        Assert.Multiple(() =>
        {
            foreach (QuantCodec codec in QuantCodec.All)
            {
                Assert.That(backend.Supports(codec, new QuantShape(4, 512)), Is.EqualTo(ShaderLibrary.Codecs.Contains(codec.Name)), codec.Name);
            }
        });
    }

    [Test]
    public void FailedPipeline() => Fails(Failures.Pipeline, "Metal cannot make a pipeline of q4_k_multiply_1: the compiler service gave up");

    [Test]
    public void DeviceFault() => Fails(Failures.Commit, "software device failed: q4_k_multiply_1: the device was lost");

    [Test]
    public void NoMemoryForTheWork() => Fails(
        Failures.OutOfMemory, "software device failed: q4_k_multiply_1: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)");

    [Test]
    public void NoMemory() => Fails(Failures.Buffer, "Metal made no buffer of 576 bytes.");

    [Test]
    public void LargerThanABuffer()
    {
        SoftwareDevice.Configure(failures: Failures.SmallBuffers);
        using var backend = MetalBackend.Create();
        using QuantizedTensor small = RandomTensors.Create(QuantFormat.F32, new QuantShape(60, 1024)), large = RandomTensors.Create(QuantFormat.F32, new QuantShape(64, 1024));
        Assert.That(backend.Supports(small.Codec, small.Shape));
        Assert.That(backend.Supports(large.Codec, large.Shape), Is.False);
        Assert.That(
            () => backend.Upload(large), Throws.InstanceOf<NotSupportedException>().With.Message.Contains("a buffer of software device has at most 262144 bytes"));
    }

    [Test]
    public void MoreThanTheDeviceHolds()
    {
        SoftwareDevice.Configure(failures: Failures.SmallWorkingSet);
        using var backend = MetalBackend.Create();
        using QuantizedTensor tensor = RandomTensors.Create(QuantFormat.F32, new QuantShape(40, 1024));
        using (BackendWeights first = backend.Upload(tensor))
        {
            Assert.That(backend.Supports(tensor.Codec, tensor.Shape), Is.False);
            Assert.That(
                () => backend.Upload(tensor),
                Throws.InstanceOf<NotSupportedException>().With.Message.EndsWith(": software device holds 163840 of at most 262144 bytes."));
        }

        using BackendBuffer buffer = backend.Allocate(10_000);
        Assert.That(backend.Supports(tensor.Codec, tensor.Shape));
        using BackendBuffer another = backend.Allocate(20_000);
        Assert.That(backend.Supports(tensor.Codec, tensor.Shape), Is.False);
    }

    [Test]
    public void RefusedShadersAreCompiledFromSource()
    {
        using MetalDevice device = MetalDevice.Open(out _)!;
        byte[] compiled = File.ReadAllBytes(SoftwareDevice.Build!.Shaders);
        SoftwareDevice.Configure(failures: Failures.RefusedLibrary);
        using ObjCObject library = ShaderLibrary.Open(device, compiled);
        Assert.That(SoftwareDevice.LanguageVersion, Is.EqualTo((nuint)0x30001), "MTLLanguageVersion3_1");
        using ObjCObject pipeline = device.CreatePipeline(library, "q4_k_multiply_1", 64);
    }

    [Test]
    public void AnEncoderIsEndedWhateverHappens()
    {
        using MetalDevice device = MetalDevice.Open(out _)!;
        using ObjCObject library = device.LoadLibrary(SoftwareDevice.Build!.FaultyShaders);
        ObjCObject pipeline = device.CreatePipeline(library, "scale_subnormals", 64);
        pipeline.Dispose();
        Assert.That(() => device.Run([new DeviceCommand(pipeline, new MTLSize(1, 1, 1), 64, 0)]), Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public void HugeBuffer()
    {
        using var backend = MetalBackend.Create();
        Assert.That(
            () => backend.Allocate(int.MaxValue),
            Throws.InstanceOf<MetalException>().With.Message.EqualTo("A buffer of 8589934588 bytes is more than software device allows: 6442450944."));
    }

    [Test]
    public void AfterAFaultTheBackendGoesOn()
    {
        using var backend = MetalBackend.Create();
        SoftwareDevice.Configure(failures: Failures.Commit);
        Assert.That(() => Multiply(backend), Throws.InstanceOf<MetalException>());
        SoftwareDevice.Configure();
        Assert.That(Multiply(backend), Is.True);
    }

    [Test]
    public void SourceIsCompiledWithoutLiberties([Values] bool oldSystem)
    {
        SoftwareDevice.Configure(failures: oldSystem ? Failures.OldCompileOptions : Failures.None);
        using var backend = MetalBackend.Create();
        Assert.That(SoftwareDevice.MathMode, Is.Zero);
    }

    [Test]
    public void CompiledShadersFromAFileAndFromMemoryAreTheSame()
    {
        using (var backend = MetalBackend.Create(SoftwareDevice.Build!.Shaders))
        {
            Assert.That(Multiply(backend), Is.True);
        }

        using MetalDevice device = MetalDevice.Open(out _)!;
        using ObjCObject library = device.LoadLibrary(File.ReadAllBytes(SoftwareDevice.Build.Shaders));
        using ObjCObject pipeline = device.CreatePipeline(library, "q6_k_multiply_tiles", 128);
        Assert.That(() => device.LoadLibrary([1, 2, 3]), Throws.InstanceOf<MetalException>().With.Message.StartsWith("Metal cannot load its shaders: "));
    }

    [Test]
    public void TextsAreUtf8() => Fails(
        Failures.None, () => MetalBackend.Create("/größe/π.metallib"), "Metal cannot load /größe/π.metallib: ");

    private static void Fails(Failures failures, string message)
    {
        using var backend = MetalBackend.Create();
        Fails(failures, () => Multiply(backend), message);
    }

    private static void Fails(Failures failures, Action action, string message)
    {
        SoftwareDevice.Configure(failures: failures);
        Assert.That(() => action(), Throws.InstanceOf<MetalException>().With.Message.StartsWith(message));
    }

    private static bool Multiply(MetalBackend backend)
    {
        using QuantizedTensor tensor = RandomTensors.Create(QuantFormat.Q4_K, new QuantShape(4, 256));
        using BackendWeights weights = backend.Upload(tensor), reference = Reference.Upload(tensor);
        float[] x = Numbers.Gaussian(256, seed: 1), expected = new float[4], actual = new float[4];
        Reference.Multiply(reference, x, expected);
        backend.Multiply(weights, x, actual);
        return Numbers.Bits(actual).AsSpan().SequenceEqual(Numbers.Bits(expected));
    }
}

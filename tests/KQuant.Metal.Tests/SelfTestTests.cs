using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Matmul.Backends;
using KQuant.Metal.Tests.Emulation;
using KQuant.TestKit;

namespace KQuant.Metal.Tests;

/// <summary>A device that computes otherwise than the shaders need is not used, or not for what it does wrong.</summary>
public class SelfTestTests : MetalTest
{
    [SetUp]
    public void NeedsTheSoftwareDevice() => SoftwareDevice.Require();

    [Test]
    public void AGoodDeviceIsUsedInEveryMode() => InAllModes(backend =>
    {
        Assert.That(backend.ReadsMappedFiles);
        Assert.That(backend.UsesMatrixUnits);
    });

    [TestCase(Failures.NoDevice, "this machine has no Metal device")]
    [TestCase(Failures.OldFamily, "software device is not of Apple's GPU family 7 (M1) or newer")]
    [TestCase(Failures.SeparateMemory, "software device does not share the processor's memory")]
    [TestCase(Failures.Queue, "Metal made no command queue")]
    [TestCase(Failures.Compile, "Metal cannot compile the shaders: ")]
    [TestCase(Failures.Width64, "self_test runs with 1024 threads in simdgroups of 64 on software device; it needs 64 in simdgroups of 32")]
    [TestCase(Failures.FewThreads, "self_test runs with 32 threads in simdgroups of 32 on software device; it needs 64")]
    [TestCase(Failures.TowardZero, "software device failed the self-test: a ")]
    [TestCase(Failures.NarrowShuffle, "software device failed the self-test: lane 0 got the value of lane ")]
    [TestCase(Failures.Commit, "software device failed: self_test: the device was lost")]
    public void AFaultIsToldAndTheDeviceNotUsed(Failures failures, string reason)
    {
        SoftwareDevice.Configure(failures: failures);
        Assert.Multiple(() =>
        {
            Assert.That(MetalBackend.UnsupportedReason, Does.StartWith(reason));
            Assert.That(MetalBackend.IsSupported, Is.False);
            Assert.That(MetalBackend.TryCreate(out MetalBackend? backend, out _), Is.False);
            Assert.That(backend, Is.Null);
            Assert.That(() => MetalBackend.Create(), Throws.Exception);
        });
    }

    [Test]
    public void ACompilerThatFusesProductAndSumIsNotTrusted()
    {
        if (!Fma.IsSupported && Sse.IsSupported)
        {
            Assert.Ignore("This processor cannot fuse.");
        }

        Assert.That(
            () => MetalBackend.Create(SoftwareDevice.Build!.FaultyShaders),
            Throws.InstanceOf<PlatformNotSupportedException>().With.Message.Contains("self-test: a sum with a product of"));
    }

    [TestCase(Failures.EmptyNoCopy)]
    [TestCase(Failures.NilNoCopy)]
    [TestCase(Failures.StaleNoCopy)]
    public void PagesThatTheGpuDoesNotSeeAreCopied(Failures failures)
    {
        SoftwareDevice.Configure(failures: failures);
        using GgufFile file = GgufFile.Open(RepositoryFiles.Fixture("gguf", "q4_K.gguf"));
        using var backend = MetalBackend.Create();
        using QuantizedTensor tensor = file.Tensors.Select(entry => entry.AsWeights()).First(tensor => tensor.Codec.IsQuantized);
        using BackendWeights weights = backend.Upload(tensor), reference = Reference.Upload(tensor);
        float[] x = Numbers.Gaussian(tensor.Shape.Columns, seed: 1), expected = new float[tensor.Shape.Rows], actual = new float[tensor.Shape.Rows];
        Reference.Multiply(reference, x, expected);
        backend.Multiply(weights, x, actual);
        Assert.That(Numbers.Bits(actual), Is.EqualTo(Numbers.Bits(expected)));
        Assert.That(((MetalWeights)weights).IsCopy);
        Assert.That(backend.ReadsMappedFiles, Is.False);
    }

    [TestCase(Failures.MatrixBackward)]
    [TestCase(Failures.NoMatrixPipeline)]
    public void MatrixUnitsThatAddInAnotherOrderAreNotUsed(Failures failures)
    {
        SoftwareDevice.Configure(failures: failures);
        using var backend = MetalBackend.Create();
        using QuantizedTensor tensor = RandomTensors.Create(QuantFormat.Q4_K, new QuantShape(33, 1280));
        using BackendWeights weights = backend.Upload(tensor), reference = Reference.Upload(tensor);
        float[] x = Numbers.Gaussian(20 * 1280, seed: 1), expected = new float[20 * 33], actual = new float[20 * 33];
        Reference.Multiply(reference, x, expected);
        backend.Multiply(weights, x, actual);
        Assert.That(Numbers.Bits(actual), Is.EqualTo(Numbers.Bits(expected)));
        Assert.That(backend.UsesMatrixUnits, Is.False);
    }
}

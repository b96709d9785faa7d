using System.Buffers;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Matmul.Layers;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>
/// Memory is there until the last operation that reads it has ended, whoever disposes or drops it meanwhile. Most tests get into the middle
/// of an operation through an activation transform, which is called there.
/// </summary>
public class LifetimeTests
{
    private const int Rows = 40;
    private const int Columns = 256;
    private const string ChildVariable = "KQUANT_TEST_CHILD";

    private static readonly float[] Weights = Numbers.Gaussian(Rows * Columns, 1);

    private static IEnumerable<TestCaseData> Operations
    {
        get
        {
            yield return Case("DecodeRow", (tensor, _) =>
            {
                var row = new float[Columns];
                tensor.DecodeRow(3, row);
                return row;
            });
            yield return Case("Multiply", (tensor, context) => context.Multiply(tensor, Numbers.Gaussian(3 * Columns, 2)));
            yield return Case("MultiplyTransposed", (tensor, context) => context.MultiplyTransposed(tensor, Numbers.Gaussian(3 * Rows, 2)));
            yield return Case("GatherMultiply", (tensor, context) =>
            {
                var y = new float[3 * Rows];
                QuantizedMatmul.GatherMultiply(
                    tensor, Numbers.Gaussian(3 * Columns, 2), [3, 1, Columns], default, (int[])[0, 0, 0], y, context);
                return y;
            });
            yield return Case("Lookup", (tensor, context) =>
            {
                var y = new float[2 * Columns];
                new QuantizedEmbedding(tensor).Lookup([0, Rows - 1], y, context);
                return y;
            });

            static TestCaseData Case(string name, Func<QuantizedTensor, MatmulContext, float[]> run) =>
                new TestCaseData(run).SetArgDisplayNames(name);
        }
    }

    [TestCaseSource(nameof(Operations))]
    public void ABufferThatIsDisposedMeanwhileStaysUntilTheOperationEnds(Func<QuantizedTensor, MatmulContext, float[]> run)
    {
        using MatmulContext context = Contexts.Create();
        float[] expected = run(Encoded().WithTransform(new Hook(() => { })), context);
        (Memory memory, Fate fate) = Memory.Of(Encoded());
        bool isThereInside = false;
        QuantizedTensor tensor = QuantizedTensor.FromBuffer(Codec, new QuantShape(Rows, Columns), memory).WithTransform(new Hook(() =>
        {
            memory.Dispose();
            isThereInside = !fate.IsReleased;
        }));

        Assert.That(run(tensor, context), Is.EqualTo(expected));
        Assert.That(isThereInside, Is.True);
        Assert.That(fate.IsReleased, Is.True);
        Assert.That(() => run(tensor, context), Throws.InstanceOf<ObjectDisposedException>());
    }

    [TestCaseSource(nameof(Operations))]
    public void ATensorThatNobodyHoldsAnyMoreIsNotCollectedInTheMiddle(Func<QuantizedTensor, MatmulContext, float[]> run)
    {
        using MatmulContext context = Contexts.Create();
        float[] expected = run(Encoded().WithTransform(new Hook(() => { })), context);
        QuantizedTensor encoded = Encoded();
        for (int round = 0; round < 20; round++)
        {
            var fate = new Fate();
            Assert.That(RunAndDrop(run, encoded, context, fate), Is.EqualTo(expected));
            Assert.That(fate.IsLostInside, Is.False);
            GC.Collect();
            GC.WaitForPendingFinalizers();
            Assert.That(fate.IsReleased, Is.True);
        }
    }

    [Test]
    public void AnOwnerIsReleasedOnceAndAfterTheOperation()
    {
        var owner = new Owner(Bytes(Encoded()));
        QuantizedTensor? root = null;
        int releasedInside = -1;
        root = QuantizedTensor.FromOwner(Codec, new QuantShape(Rows, Columns), owner);
        QuantizedTensor tensor = root.WithTransform(new Hook(() =>
        {
            root.Dispose();
            releasedInside = owner.Released;
        }));

        tensor.DecodeRow(0, new float[Columns]);
        Assert.That((releasedInside, owner.Released), Is.EqualTo((0, 1)));
        root.Dispose();
        Assert.That(owner.Released, Is.EqualTo(1));
        Assert.That(() => tensor.DecodeRow(0, new float[Columns]), Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public void PackedWeightsThatAreDisposedMeanwhileStayUntilTheProductEnds()
    {
        using MatmulContext context = Contexts.Create();
        PackedTensor? packed = null;
        QuantizedTensor tensor = Encoded().WithTransform(new Hook(() => packed!.Dispose()));
        float[] x = Numbers.Gaussian(64 * Columns, 2), expected = new float[64 * Rows], y = new float[64 * Rows];
        using (PackedTensor other = PackedTensor.Pack(Encoded().WithTransform(new Hook(() => { })), context))
        {
            QuantizedMatmul.Multiply(other, x, expected, context);
        }

        packed = PackedTensor.Pack(tensor, context);
        QuantizedMatmul.Multiply(packed, x, y, context);
        Assert.That(y, Is.EqualTo(expected));
        Assert.That(() => QuantizedMatmul.Multiply(packed, x, y, context), Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public void AFileThatIsDisposedMeanwhileStaysMappedUntilTheOperationEnds()
    {
        using var folder = new TemporaryFolder();
        string path = CopyOfFixture(folder);
        GgufFile file = GgufFile.Open(path);
        QuantizedTensor weights = file.GetTensor("w");
        var expected = new float[weights.Shape.Columns];
        weights.DecodeRow(0, expected);
        int mappingsInside = -1;
        QuantizedTensor tensor = weights.WithTransform(new Hook(() =>
        {
            file.Dispose();
            mappingsInside = CountMappings(path);
        }));

        var row = new float[weights.Shape.Columns];
        tensor.DecodeRow(0, row);
        Assert.That(row, Is.EqualTo(expected));
        Assert.That(mappingsInside, Is.GreaterThan(0));
        Assert.That(CountMappings(path), Is.Zero);
        Assert.That(() => tensor.DecodeRow(0, row), Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(() => tensor.CopyRowBytes(0, new byte[tensor.RowByteCount]), Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(() => file.Metadata["fixture.seed"].TryGetInteger(out _), Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public void AFileThatNobodyDisposedIsUnmappedWhenItIsCollected()
    {
        using var folder = new TemporaryFolder();
        string path = CopyOfFixture(folder);
        OpenAndDrop(path);
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Assert.That(CountMappings(path), Is.Zero);
    }

    [Test]
    public void RowsAreCopiedFromEveryKindOfMemory()
    {
        QuantizedTensor encoded = Encoded();
        using Memory memory = Memory.Of(encoded).Memory;
        var row = new byte[encoded.RowByteCount];
        QuantizedTensor.FromBuffer(Codec, encoded.Shape, memory).CopyRowBytes(7, row);
        Assert.That(row, Is.EqualTo(encoded.UnsafeGetRowBytes(7).ToArray()));
        encoded.CopyRowBytes(8, row);
        Assert.That(row, Is.EqualTo(encoded.UnsafeGetRowBytes(8).ToArray()));
        Assert.That(() => encoded.CopyRowBytes(0, new byte[1]), Throws.ArgumentException.With.Message.Contains($"{row.Length}"));
        Assert.That(() => encoded.CopyRowBytes(Rows, row), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => encoded.CopyRowBytes(0, row, plane: 1), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void ABufferHasToHoldTheTensor()
    {
        using Memory memory = Memory.Of(Encoded()).Memory;
        var shape = new QuantShape(Rows, Columns);
        Assert.That(() => QuantizedTensor.FromBuffer(Codec, shape, memory, 1), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => QuantizedTensor.FromBuffer(Codec, shape, memory, -1), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(
            () => QuantizedTensor.FromBuffer(Codec, new QuantShape(1, 100), memory),
            Throws.ArgumentException.With.Property(nameof(ArgumentException.ParamName)).EqualTo("shape"));
        QuantizedTensor last = QuantizedTensor.FromBuffer(Codec, new QuantShape(1, Columns), memory, (Rows - 1) * Codec.GetByteCount(Columns));
        float[] expected = new float[Columns], actual = new float[Columns];
        Encoded().DecodeRow(Rows - 1, expected);
        last.DecodeRow(0, actual);
        Assert.That(actual, Is.EqualTo(expected));
        memory.Dispose();
        Assert.That(() => QuantizedTensor.FromBuffer(Codec, shape, memory), Throws.InstanceOf<ObjectDisposedException>());
    }

    /// <summary>A failure would be an access violation, which ends a process: it runs in one of its own, this test a second time.</summary>
    [Test]
    public void DisposingWhileOtherThreadsWorkEndsThemWithAnException()
    {
        if (Environment.GetEnvironmentVariable(ChildVariable) is not null)
        {
            RaceAgainstDispose();
            return;
        }

        string name = typeof(LifetimeTests).Assembly.GetName().Name! + (OperatingSystem.IsWindows() ? ".exe" : "");
        var start = new ProcessStartInfo(
            Path.Combine(AppContext.BaseDirectory, name),
            ["--no-progress", "--filter", $"FullyQualifiedName~{nameof(DisposingWhileOtherThreadsWorkEndsThemWithAnException)}"])
        {
            RedirectStandardOutput = true,
        };
        start.Environment[ChildVariable] = "1";
        using Process child = Process.Start(start)!;
        string output = child.StandardOutput.ReadToEnd();
        child.WaitForExit();
        Assert.That(child.ExitCode, Is.Zero, output);
    }

    private static QuantCodec Codec => QuantCodec.Get(QuantFormat.Q4_K);

    private static void RaceAgainstDispose()
    {
        string path = RepositoryFiles.Fixture("gguf", "q4_0.gguf");
        for (int round = 0; round < 18; round++)
        {
            GgufFile file = GgufFile.Open(path);
            QuantizedTensor weights = file.GetTensor("w");
            MatmulContext context = Contexts.Create();
            PackedTensor packed = PackedTensor.Pack(weights, context);
            float[] x = Numbers.Gaussian(weights.Shape.Columns, 1);
            int begun = 0, ended = 0;
            Thread[] threads =
            [
                Start(() => weights.DecodeRow(0, new float[x.Length])),
                Start(() => QuantizedMatmul.Multiply(weights, x, new float[weights.Shape.Rows], context)),
                Start(() => QuantizedMatmul.Multiply(packed, x, new float[weights.Shape.Rows], context)),
                Start(() => file.Metadata["fixture.seed"].TryGetInteger(out _)),
            ];
            var wait = default(SpinWait);
            while (Volatile.Read(ref begun) < threads.Length)
            {
                wait.SpinOnce();
            }

            IDisposable[] order = (round % 3) switch
            {
                0 => [file, packed, context],
                1 => [packed, file, context],
                _ => [context, file, packed],
            };
            Array.ForEach(order, item => item.Dispose());
            Array.ForEach(threads, thread => thread.Join());
            Assert.That(ended, Is.EqualTo(threads.Length));

            Thread Start(Action work)
            {
                var thread = new Thread(() =>
                {
                    try
                    {
                        work();
                        Interlocked.Increment(ref begun);
                        while (true)
                        {
                            work();
                        }
                    }
                    catch (ObjectDisposedException)
                    {
                        Interlocked.Increment(ref ended);
                    }
                });
                thread.Start();
                return thread;
            }
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static float[] RunAndDrop(Func<QuantizedTensor, MatmulContext, float[]> run, QuantizedTensor like, MatmulContext context, Fate fate) =>
        run(
            QuantizedTensor.FromBuffer(like.Codec, like.Shape, new Memory(Bytes(like), fate)).WithTransform(new Hook(() =>
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
                fate.IsLostInside |= fate.IsReleased;
            })),
            context);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void OpenAndDrop(string path)
    {
        Assert.That(GgufFile.Open(path).Tensors, Is.Not.Empty);
        Assert.That(CountMappings(path), Is.GreaterThan(0));
    }

    private static QuantizedTensor Encoded() => QuantizedTensor.Encode(Codec, new QuantShape(Rows, Columns), Weights);

    private static byte[] Bytes(QuantizedTensor tensor) =>
        [.. Enumerable.Range(0, (int)tensor.Shape.TotalRows).SelectMany(row => tensor.UnsafeGetRowBytes(row).ToArray())];

    private static string CopyOfFixture(TemporaryFolder folder)
    {
        if (!OperatingSystem.IsLinux())
        {
            Assert.Ignore("Only Linux lists the mappings of a process.");
        }

        File.Copy(RepositoryFiles.Fixture("gguf", "q4_0.gguf"), folder["copy.gguf"]);
        return folder["copy.gguf"];
    }

    private static int CountMappings(string path) => File.ReadLines("/proc/self/maps").Count(line => line.EndsWith(path, StringComparison.Ordinal));

    /// <summary>What became of memory, for those who must not keep it alive.</summary>
    private sealed class Fate
    {
        public volatile bool IsReleased;
        public bool IsLostInside;
    }

    /// <summary>A caller's own memory; when it is released it is overwritten, so that who still reads it gets other numbers.</summary>
    private sealed unsafe class Memory : SafeBuffer
    {
        private readonly Fate _fate;
        private readonly int _length;

        public Memory(byte[] bytes, Fate fate)
            : base(ownsHandle: true)
        {
            _fate = fate;
            _length = bytes.Length;
            SetHandle(Marshal.AllocHGlobal(_length));
            Initialize((ulong)_length);
            bytes.CopyTo(new Span<byte>((void*)handle, _length));
        }

        public static (Memory Memory, Fate Fate) Of(QuantizedTensor tensor)
        {
            var fate = new Fate();
            return (new Memory(Bytes(tensor), fate), fate);
        }

        protected override bool ReleaseHandle()
        {
            new Span<byte>((void*)handle, _length).Fill(0x5A);
            Marshal.FreeHGlobal(handle);
            _fate.IsReleased = true;
            return true;
        }
    }

    private sealed class Owner(byte[] bytes) : IMemoryOwner<byte>
    {
        public int Released { get; private set; }

        public Memory<byte> Memory => bytes;

        public void Dispose() => Released++;
    }

    /// <summary>Changes nothing, and does something once where it is called.</summary>
    private sealed class Hook(Action action) : ActivationTransform
    {
        private int _done;

        public override void Apply(Span<float> row) => Once();

        public override void ApplyTransposed(Span<float> row) => Once();

        private void Once()
        {
            if (Interlocked.Exchange(ref _done, 1) == 0)
            {
                action();
            }
        }
    }
}

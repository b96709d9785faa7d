using System.Reflection;
using System.Runtime.Loader;
using KQuant.Codecs;
using NUnit.Framework.Constraints;

namespace KQuant.Matmul.Tests;

/// <summary>A process whose <c>KQUANT_MAX_TIER</c> is no tier: every way in says so, and says it again.</summary>
[NonParallelizable]
public class TierVariableTests
{
    private const string Sentence = "KQUANT_MAX_TIER is 'Avx3'; it must be one of Scalar, Portable, Avx2, AvxVnni, Avx512, Neon, NeonDot.";

    private AssemblyLoadContext _copy = null!;
    private Assembly _codecs = null!;
    private Assembly _matmul = null!;

    // The variable is read once: assemblies loaded a second time read it anew, and those of the other tests have read it by then.
    [SetUp]
    public void LoadACopy()
    {
        _ = KernelTiers.Max;
        string? before = Environment.GetEnvironmentVariable(KernelTiers.MaxTierVariable);
        Environment.SetEnvironmentVariable(KernelTiers.MaxTierVariable, "Avx3");
        try
        {
            _copy = new AssemblyLoadContext("copy", isCollectible: true);
            _codecs = _copy.LoadFromAssemblyPath(typeof(QuantCodec).Assembly.Location);
            _matmul = _copy.LoadFromAssemblyPath(typeof(MatmulContext).Assembly.Location);
            Assert.That(() => Property("KernelTiers", "Max"), Throws.InnerException.InstanceOf<ArgumentException>());
        }
        finally
        {
            Environment.SetEnvironmentVariable(KernelTiers.MaxTierVariable, before);
        }
    }

    [TearDown]
    public void Unload() => _copy.Unload();

    [Test]
    public void AContextCannotBeMade()
    {
        Type context = _matmul.GetType("KQuant.Matmul.MatmulContext", throwOnError: true)!;
        for (int i = 0; i < 2; i++)
        {
            Assert.That(() => Activator.CreateInstance(context, [null]), ThrowsTheSentence());
        }
    }

    [Test]
    public void CodecsAreThereAndDoNotDecode()
    {
        var codecs = (IEnumerable<object>)Property("QuantCodec", "All")!;
        object codec = codecs.First();
        for (int i = 0; i < 2; i++)
        {
            Assert.That(() => codec.GetType().GetProperty("DecodeTier")!.GetValue(codec), ThrowsTheSentence());
        }
    }

    [Test]
    public void AnOptionThatIsNoTierIsRefused() => Assert.That(
        () => new MatmulOptions { MaxTier = (KernelTier)7 },
        Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.StartsWith("MaxTier is 7, which is none of Scalar, Portable, "));

    private static EqualStringConstraint ThrowsTheSentence() =>
        Throws.InnerException.TypeOf<ArgumentException>().And.InnerException.Message.EqualTo(Sentence);

    private object? Property(string type, string name) => _codecs.GetType($"KQuant.Codecs.{type}", throwOnError: true)!.GetProperty(name)!.GetValue(null);
}

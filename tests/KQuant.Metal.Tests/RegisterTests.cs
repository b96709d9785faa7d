using System.Text.RegularExpressions;
using KQuant.Codecs;
using KQuant.Metal.Tests.Emulation;

namespace KQuant.Metal.Tests;

/// <summary>
/// The shaders compiled for a GPU that clang knows (PTX, which no GPU is needed for): an optimizer of the same family as Apple's has to keep
/// every small array in registers, and the instructions of a product with one row have a budget.
/// </summary>
public partial class RegisterTests
{
    private const string Unrolls = """_Pragma("clang loop unroll(full)")""";

    private static readonly Lazy<string> Ptx = new(() => SoftwareDevice.Build!.CompileForGpu(ShaderLibrary.GetSource()));

    [SetUp]
    public void NeedsClang() => SoftwareDevice.Require();

    [Test]
    public void NoKernelHasArraysInThreadMemory()
    {
        string[] kernels = [.. Split(Ptx.Value).Keys];
        Assert.That(kernels, Has.Length.GreaterThan(140));
        Assert.That(FindSpilled(Ptx.Value), Is.Empty);
    }

    [Test]
    public void ALoopThatIsNotUnrolledIsSeen()
    {
        string source = ShaderLibrary.GetSource();
        Assert.That(source, Does.Contain(Unrolls));
        string[] spilled = FindSpilled(SoftwareDevice.Build!.CompileForGpu(source.Replace(Unrolls, "", StringComparison.Ordinal)));
        Assert.That(spilled, Does.Contain("q4_k_multiply_8").And.Contain("q4_k_multiply_tiles").And.Contain("q6_k_gather_matrix"));
    }

    /// <summary>Instructions for each weight in the loop over blocks, loads of activations included, for two outputs of a team.</summary>
    [TestCase("q4_k", 9)]
    [TestCase("q5_k", 12.5)]
    [TestCase("q6_k", 14)]
    [TestCase("q3_k", 14.5)]
    [TestCase("q2_k", 12.5)]
    [TestCase("q8_0", 17)]
    [TestCase("q4_0", 17)]
    public void InstructionsPerWeightStayInTheBudget(string codec, double budget)
    {
        string kernel = Split(Ptx.Value)[$"{codec}_multiply_1"];
        string loop = BasicBlock().Split(kernel).MaxBy(block => block.Split("fma.rn").Length)!;

        // Moves between registers of different types are no instructions of a GPU.
        int instructions = Instruction().Matches(loop).Count(match => match.Groups[1].Value != "mov");
        Assert.That(QuantCodec.TryParse(codec, out QuantCodec? parsed));
        double perWeight = instructions / (2.0 * parsed!.WeightsPerBlock / 16);
        TestContext.Out.WriteLine($"{codec}: {perWeight:F2} instructions for each weight");
        Assert.That(perWeight, Is.LessThanOrEqualTo(budget));
    }

    private static string[] FindSpilled(string ptx) =>
        [.. Split(ptx).Where(kernel => kernel.Value.Contains("__local_depot", StringComparison.Ordinal)).Select(kernel => kernel.Key)];

    private static Dictionary<string, string> Split(string ptx) => Entry().Split(ptx).Skip(1).Chunk(2).ToDictionary(pair => pair[0], pair => pair[1]);

    [GeneratedRegex(@"\.visible \.entry (\w+)\(")]
    private static partial Regex Entry();

    [GeneratedRegex(@"^\$L__BB\w+:", RegexOptions.Multiline)]
    private static partial Regex BasicBlock();

    [GeneratedRegex(@"^\s+(?:@!?%p\d+\s+)?([a-z]+)[\w.]*\s.*;", RegexOptions.Multiline)]
    private static partial Regex Instruction();
}

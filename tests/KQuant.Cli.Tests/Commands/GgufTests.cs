using System.Text.Json;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary>GGUF to GGUF: quantize, inspect, verify, dequantize.</summary>
public class GgufTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase(QuantFormat.F32)]
    [TestCase(QuantFormat.F16)]
    [TestCase(QuantFormat.BF16)]
    public void QuantizesEveryWeightAndKeepsTheRest(QuantFormat format)
    {
        string model = TestModels.WriteGguf(_folder["model.gguf"], format);
        string output = Cli.Quantize(model, "q4_k", _folder["out.gguf"]).MustSucceed().Output;
        using GgufFile before = GgufFile.Open(model), after = GgufFile.Open(_folder["out.gguf"]);
        Assert.Multiple(() =>
        {
            Assert.That(
                after.Tensors.Select(tensor => $"{tensor.Name} {tensor.TypeName} [{string.Join(", ", tensor.Dimensions)}]"),
                Is.EqualTo(before.Tensors.Select(tensor => $"{tensor.Name} {ExpectedType(tensor)} [{string.Join(", ", tensor.Dimensions)}]")));
            foreach (string name in (string[])["output_norm.weight", "blk.1.ffn_gate_inp.weight", "ids"])
            {
                Assert.That(Bytes(after, name), Is.EqualTo(Bytes(before, name)), name);
            }

            Assert.That(
                after.Metadata.Select(pair => $"{pair.Key}={pair.Value}"),
                Is.EqualTo(
                [
                    .. before.Metadata.Select(pair => $"{pair.Key}={pair.Value}"),
                    $"general.file_type={(uint)GgufFileType.Q4_K_M}", "general.quantization_version=2",
                ]));
            Assert.That(after.Metadata.GetStrings("tokenizer.ggml.tokens")[99], Is.EqualTo("token99"));
            Assert.That(output, Does.Contain("2 tensors: width 96 is no multiple of 256: q5_0 instead of q4_k."));
            Assert.That(output, Does.Contain("2 tensors: width 40 is no multiple of 256: f16 instead of q4_k."));
        });
    }

    [Test]
    public void EncodesStackedExpertsRowByRow()
    {
        string model = TestModels.WriteGguf(_folder["model.gguf"], QuantFormat.F32);
        Cli.Quantize(model, "q3_k", _folder["out.gguf"]).MustSucceed();
        using GgufFile before = GgufFile.Open(model), after = GgufFile.Open(_folder["out.gguf"]);
        foreach ((string name, QuantFormat expected) in ((string, QuantFormat)[])
            [("blk.1.ffn_up_exps.weight", QuantFormat.Q3_K), ("blk.1.ffn_down_exps.weight", QuantFormat.Q4_0)])
        {
            QuantizedTensor source = before.GetTensor(name);
            var weights = new float[source.Shape.TotalWeights];
            for (int row = 0; row < source.Shape.TotalRows; row++)
            {
                source.DecodeRow(row, weights.AsSpan(row * source.Shape.Columns, source.Shape.Columns));
            }

            QuantCodec codec = QuantCodec.Get(expected);
            var bytes = new byte[codec.GetByteCount(weights.Length)];
            codec.Encode(weights, bytes, new EncodeOptions { RowLength = source.Shape.Columns });
            Assert.That(Bytes(after, name), Is.EqualTo(bytes), name);
        }
    }

    [Test]
    public void InspectVerifyAndDequantizeWhatWasWritten()
    {
        string model = TestModels.WriteGguf(_folder["model.gguf"], QuantFormat.F32);
        string quantized = _folder["q.gguf"], floats = _folder["f.gguf"];
        Cli.Quantize(model, "q6_k", quantized).MustSucceed();
        JsonElement inspected = Cli.Inspect(quantized, "--json").MustSucceed().Json;
        Assert.Multiple(() =>
        {
            Assert.That(inspected.Text("kind"), Is.EqualTo("gguf"));
            Assert.That(inspected.Text("model_type"), Is.EqualTo("qwen3moe"));
            Assert.That(inspected.Int("num_hidden_layers"), Is.EqualTo(2));
            Assert.That(inspected.Int("num_quantized"), Is.EqualTo(7));
            Assert.That(inspected.GetProperty("codec_histogram").Int("q6_k"), Is.EqualTo(5));
            Assert.That(inspected.GetProperty("codec_histogram").Int("q8_0"), Is.EqualTo(2));
            Assert.That(inspected.GetProperty("metadata").Int("qwen3moe.block_count"), Is.EqualTo(2));
            Assert.That(inspected.GetProperty("metadata").GetProperty("tokenizer.ggml.tokens").Int("count"), Is.EqualTo(100));
        });

        Cli.Verify(quantized, "--against", model).MustSucceed();
        Cli.Dequantize(quantized, floats).MustSucceed();
        using GgufFile before = GgufFile.Open(quantized), after = GgufFile.Open(floats);
        foreach (GgufTensor tensor in before.Tensors)
        {
            Assert.That(after.TryGet(tensor.Name, out GgufTensor? decoded));
            if (tensor.Codec is { IsQuantized: true } codec)
            {
                var expected = new float[tensor.ElementCount];
                codec.Decode(tensor.UnsafeGetBytes(), expected);
                Assert.That(System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(decoded!.UnsafeGetBytes()).SequenceEqual(expected), tensor.Name);
            }
            else
            {
                Assert.That(decoded!.UnsafeGetBytes().SequenceEqual(tensor.UnsafeGetBytes()), tensor.Name);
            }
        }

        Assert.That(after.Metadata.Get<uint>("general.file_type"), Is.EqualTo((uint)GgufFileType.F32));
    }

    [Test]
    public void QuantizedWeightsAreEncodedAgainOnlyWhenAskedTo()
    {
        string model = TestModels.WriteGguf(_folder["model.gguf"], QuantFormat.F32);
        Cli.Quantize(model, "q8_0", _folder["q8.gguf"]).MustSucceed();
        string[] again = ["quantize", "--model", _folder["q8.gguf"], "--kquant-type", "q4_0", "--output", _folder["q4.gguf"]];
        Cli.Run(again).MustFail("is already quantized: 7 q8_0 tensors; --allow-requantize");
        Cli.Run([.. again, "--allow-requantize"]).MustSucceed();
        Cli.Verify(_folder["q4.gguf"], "--against", model).MustSucceed();
    }

    [Test]
    public void AFormatWithoutDecoderStopsRequantizingButNotQuantizing()
    {
        string model = TestModels.WriteGguf(_folder["model.gguf"], QuantFormat.F16, writer =>
        {
            Assert.That(GgmlType.TryGet(23, out GgmlType? type));
            writer.Add("blk.0.odd.weight", [256, 2], type!, new byte[2 * 136]);
        });
        string[] command = ["quantize", "--model", model, "--kquant-type", "q4_0", "--output", _folder["q4.gguf"]];
        Cli.Run([.. command, "--allow-requantize"]).MustFail("blk.0.odd.weight is iq4_xs, which cannot be decoded here");
        Cli.Run(command).MustSucceed();
        using GgufFile file = GgufFile.Open(_folder["q4.gguf"]);
        Assert.That(file.TryGet("blk.0.odd.weight", out GgufTensor? kept) && kept.TypeName == "iq4_xs");
        Cli.Dequantize(_folder["q4.gguf"], _folder["f.gguf"]).MustFail("is iq4_xs, which cannot be decoded here");
    }

    [Test]
    public void AnOutputThatExistsIsReplacedOnlyWhenAskedTo()
    {
        string model = TestModels.WriteGguf(_folder["model.gguf"]);
        string output = _folder.Write("sub/out.gguf", "old");
        string[] command = ["quantize", "--model", model, "--kquant-type", "q4_0", "--output", output];
        Cli.Run(command).MustFail("exists; --overwrite replaces it");
        Assert.That(File.ReadAllText(output), Is.EqualTo("old"));
        Cli.Run([.. command, "--overwrite"]).MustSucceed();
        Cli.Verify(output, "--against", model).MustSucceed();
        Cli.Quantize(model, "q4_0", model, "--overwrite").MustFail("is the model that is read");
        Assert.That(_folder.Files(), Is.EqualTo(["model.gguf", "sub/out.gguf"]));
    }

    [Test]
    public void AFloatFileHasNothingToDecode() =>
        Cli.Dequantize(TestModels.WriteGguf(_folder["model.gguf"]), _folder["f.gguf"])
            .MustFail("holds no quantized weights");

    private static byte[] Bytes(GgufFile file, string name) => file.TryGet(name, out GgufTensor? tensor) ? tensor.UnsafeGetBytes().ToArray() : [];

    private static string ExpectedType(GgufTensor tensor) => tensor.Name switch
    {
        "token_embd.weight" => "q4_k",
        _ when tensor.Name.Contains("attn_q.", StringComparison.Ordinal) || tensor.Name.Contains("up_exps", StringComparison.Ordinal) => "q4_k",
        _ when tensor.Name.Contains("down_exps", StringComparison.Ordinal) => "q5_0",
        _ when tensor.Name.Contains("attn_output", StringComparison.Ordinal) => "f16",
        _ => tensor.TypeName,
    };
}

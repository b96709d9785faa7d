using KQuant.Codecs.Conversion;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>Checkpoints as MLX writes them when it quantizes: what the config says of modules, and what does not fit together.</summary>
public class MlxFolderTests
{
    private const string Affine = """{"group_size": 64, "bits": 4}""";

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase("affine4_64_bf16", Affine)]
    [TestCase("affine4_64", """{"group_size": 64, "bits": 4, "mode": "affine", "q.k": false}""")]
    [TestCase("affine8_32", """{"group_size": 64, "bits": 4, "m": {"group_size": 32, "bits": 8}}""")]
    [TestCase("affine4_64", """{"group_size": 32, "bits": 8, "m": {}}""")]
    [TestCase("affine3_128_f32", """{"group_size": 128, "bits": 3, "mode": "affine", "m": true}""")]
    [TestCase("mlx_mxfp4", """{"group_size": 32, "bits": 4, "mode": "mxfp4"}""")]
    [TestCase("mlx_mxfp8", """{"group_size": 64, "bits": 4, "m": {"mode": "mxfp8"}}""")]
    [TestCase("mlx_nvfp4", """{"mode": "nvfp4"}""")]
    public void AModuleHasTheCodecThatTheConfigSays(string name, string quantization)
    {
        Assert.That(QuantCodec.TryParse(name, out QuantCodec? codec));
        using QuantizedTensor tensor = Sample(codec!);
        Write(quantization, [.. Stored("m", tensor), ("m.bias", "F32", [3], new byte[12])]);
        using ModelFolder folder = ModelFolder.Open(_folder.Path);
        ModelTensor read = folder.Tensors.Single(source => source.Name == "m.weight");
        Assert.That(folder.IsDecodable);
        Assert.That(read.Codec, Is.SameAs(codec));
        Assert.That(read.Shape, Is.EqualTo((long[])[3, 256]));
        Assert.That(read.ByteCount, Is.EqualTo(tensor.ByteCount));
        Assert.That(folder.Tensors.Select(source => source.Name), Is.EquivalentTo((string[])["m.weight", "m.bias"]));

        float[] rows = new float[2 * 256];
        read.ReadRows(1, rows);
        Assert.That(rows, Is.EqualTo(RandomTensors.Decode(tensor)[256..]));
        using QuantizedTensor loaded = read.Load();
        Assert.That(RandomTensors.Decode(loaded), Is.EqualTo(RandomTensors.Decode(tensor)));
        byte[] bytes = new byte[read.ByteCount];
        read.ReadBytes(0, bytes.AsSpan(0, 301));
        read.ReadBytes(301, bytes.AsSpan(301));
        Assert.That(bytes, Is.EqualTo(Stored("m", tensor).SelectMany(stored => stored.Data)));
    }

    [Test]
    public void ExpertsAreStacks()
    {
        using QuantizedTensor tensor = QuantizedTensor.Encode(
            MlxFormat.Create(MlxMode.Affine).GetCodec(), QuantShape.Stack(2, 3, 128), Numbers.Gaussian(768, 1));
        Write(Affine, Stored("model.layers.0.mlp.switch_mlp.up_proj", tensor));
        using ModelFolder folder = ModelFolder.Open(_folder.Path);
        Assert.That(folder.Tensors.Single().Shape, Is.EqualTo((long[])[2, 3, 128]));
        Assert.That(RandomTensors.Decode(folder.Tensors.Single().Load()), Is.EqualTo(RandomTensors.Decode(tensor)));
    }

    [Test]
    public void AModuleWithoutScalesIsDense()
    {
        Write(Affine, ("m.weight", "BF16", [2, 64], new byte[256]));
        using ModelFolder folder = ModelFolder.Open(_folder.Path);
        Assert.That(folder.Tensors.Single().FormatName, Is.EqualTo("bf16"));
        Write("""{"group_size": 64, "bits": 4, "m": false}""", ("m.weight", "BF16", [2, 64], new byte[256]), ("m.scales", "BF16", [2, 1], new byte[4]));
        using ModelFolder dense = ModelFolder.Open(_folder.Path);
        Assert.That(dense.Tensors.Select(tensor => tensor.FormatName), Is.EqualTo((string[])["bf16", "bf16"]));
    }

    [TestCase("""{"group_size": 64, "bits": 7}""", "2, 3, 4, 5, 6 or 8 bits, not 7")]
    [TestCase("""{"group_size": 48, "bits": 4}""", "groups of 32, 64 or 128 weights, not 48")]
    [TestCase("""{"group_size": 64, "bits": 4, "m": {"mode": "mxfp4", "bits": 8}}""", "'m': mxfp4 has codes of 4 bits, not 8")]
    [TestCase("""{"group_size": 64, "bits": 4, "m": {"mode": "int4"}}""", "the mode of 'm' is \"int4\"")]
    [TestCase("""{"group_size": "64", "bits": 4}""", "group_size of 'quantization' is \"64\", which is no size")]
    [TestCase("""{"group_size": 64, "bits": 4, "m.n": 4}""", "'m.n' is neither an object nor true nor false")]
    [TestCase("""{"group_size": 32, "bits": 4}""", "rows of 32 words hold 256 codes of 4 bits, and 4 groups of 32 are 128 weights")]
    [TestCase("""{"group_size": 64, "bits": 8}""", "rows of 32 words hold 128 codes of 8 bits, and 4 groups of 64 are 256 weights")]
    [TestCase("""{"mode": "mxfp4"}""", "mxfp4 weights have no biases")]
    public void AConfigThatDoesNotFitIsNamed(string quantization, string problem)
    {
        using QuantizedTensor tensor = Sample(MlxFormat.Create(MlxMode.Affine).GetCodec());
        Write(quantization, Stored("m", tensor));
        Assert.That(() => ModelFolder.Open(_folder.Path), Throws.TypeOf<ModelFormatException>().With.Message.Contains(problem));
    }

    [Test]
    public void TensorsThatDoNotFitAreNamed()
    {
        using QuantizedTensor tensor = Sample(MlxFormat.Create(MlxMode.Affine).GetCodec());
        (string Name, string Type, long[] Shape, byte[] Data)[] good = Stored("m", tensor);
        Refuses("here are no .biases", good[..2]);
        Refuses("its .scales are missing", [good[0]], """{"group_size": 64, "bits": 4, "m": true}""");
        Refuses("its .weight is missing", good[1..]);
        Refuses("the scales are [3, 4] and the biases [4, 3]; they must be alike", [.. good[..2], Changed(good[2], shape: [4, 3])]);
        Refuses("the scales are [4, 3] and the codes [3, 32]", [good[0], Changed(good[1], shape: [4, 3]), Changed(good[2], shape: [4, 3])]);
        Refuses("are both F16, BF16 or F32, not I16 and F16", [good[0], Changed(good[1], "I16"), good[2]]);
        Refuses("codes are U32 [out, words] or [experts, out, words], not I32 [3, 32]", [Changed(good[0], "I32"), .. good[1..]]);
        Refuses("scales of mxfp4 weights are U8, not F16", good[..2], """{"mode": "mxfp4"}""");
        Refuses("quantize_activations is true", good, Affine, """, "quantize_activations": true""");
    }

    [Test]
    public void WhatIsWrittenFollowsTheRulesOfTheLoader(
        [Values("affine2_32", "affine3_64", "affine4_128", "affine5_64", "affine6_32", "affine8_64", "mlx_mxfp4", "mlx_mxfp8", "mlx_nvfp4")] string name)
    {
        Assert.That(QuantCodec.TryParse(name, out QuantCodec? codec));
        using ModelFolder source = ModelFolder.Open(RepositoryFiles.Fixture("models", "tiny-moe"));
        ModelConverter.Convert(MlxPlans.Uniform(source, codec!.Mlx!), _folder["out"]);
        Assert.That(MlxLoaderRules.Check(_folder["out"]), Is.Empty);
        using ModelFolder written = ModelFolder.Open(_folder["out"]);
        Assert.That(ModelVerifier.Verify(written, source).Passed);
        ModelTensor[] quantized = [.. written.Tensors.Where(tensor => tensor.Codec!.IsQuantized)];
        Assert.That(quantized, Has.Length.GreaterThan(15));
        Assert.That(quantized.Select(tensor => tensor.Codec!.Mlx), Is.All.EqualTo(codec.Mlx));

        // The same bytes as an encode in memory.
        ModelTensor stack = quantized.First(tensor => tensor.Shape.Length == 3);
        Assert.That(source.TryGetTensor(stack.Name, out ModelTensor? original));
        float[] weights = new float[original!.GetWeightCount()];
        original!.ReadRows(0, weights);
        using QuantizedTensor expected = QuantizedTensor.Encode(stack.Codec!, stack.GetQuantShape(), weights);
        using QuantizedTensor actual = stack.Load();
        for (int plane = 0; plane < codec.Planes.Length; plane++)
        {
            Assert.That(actual.UnsafeGetRowBytes(11, plane).SequenceEqual(expected.UnsafeGetRowBytes(11, plane)), $"plane {plane}");
        }

        ModelConverter.Convert(QuantizationPlan.Keep(written), _folder["copy"]);
        Assert.That(MlxLoaderRules.Check(_folder["copy"]), Is.Empty);
        using ModelFolder copy = ModelFolder.Open(_folder["copy"]);
        Assert.That(copy.Tensors.ToDictionary(tensor => tensor.Name, Bytes), Is.EquivalentTo(written.Tensors.ToDictionary(tensor => tensor.Name, Bytes)));
    }

    [Test]
    public void MixedRecipesGiveValuesAndDownProjectionsMoreBits()
    {
        using ModelFolder source = ModelFolder.Open(RepositoryFiles.Fixture("models", "tiny-dense"));
        QuantizationPlan plan = MlxPlans.Mixed(source, MlxFormat.Create(MlxMode.Affine, 64, 3), MlxFormat.Create(MlxMode.Affine, 64, 6));
        ModelConverter.Convert(plan, _folder["out"]);
        Assert.That(MlxLoaderRules.Check(_folder["out"]), Is.Empty);
        using ModelFolder written = ModelFolder.Open(_folder["out"]);

        // Six layers: none is in the first eighth, the last is in the last, and 2 is the third of those between.
        Assert.That(
            written.Tensors.Where(tensor => tensor.Codec!.Mlx?.Bits == 6).Select(tensor => tensor.Name).Order(StringComparer.Ordinal),
            Is.EqualTo(((int[])[2, 5]).SelectMany(layer => (string[])[$"model.layers.{layer}.mlp.down_proj.weight", $"model.layers.{layer}.self_attn.v_proj.weight"])));
        Assert.That(written.Tensors.Count(tensor => tensor.Codec!.Mlx?.Bits == 3), Is.EqualTo((6 * 7) + 1 - 4));
    }

    private static string Bytes(ModelTensor tensor)
    {
        byte[] bytes = new byte[tensor.ByteCount];
        tensor.ReadBytes(0, bytes);
        return Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(bytes));
    }

    private static (string Name, string Type, long[] Shape, byte[] Data) Changed(
        (string Name, string Type, long[] Shape, byte[] Data) tensor, string? type = null, long[]? shape = null) =>
        (tensor.Name, type ?? tensor.Type, shape ?? tensor.Shape, tensor.Data);

    private static QuantizedTensor Sample(QuantCodec codec) => QuantizedTensor.Encode(codec, new QuantShape(3, 256), Numbers.Gaussian(768, 5));

    private static (string Name, string Type, long[] Shape, byte[] Data)[] Stored(string module, QuantizedTensor tensor)
    {
        QuantShape shape = tensor.Shape;
        long[] leading = shape.Experts > 1 ? [shape.Experts, shape.Rows] : [shape.Rows];
        string floats = tensor.Codec.Name.EndsWith("_bf16", StringComparison.Ordinal) ? "BF16" : tensor.Codec.Name.EndsWith("_f32", StringComparison.Ordinal) ? "F32" : "F16";
        string scales = tensor.Codec.Planes.Length == 3 ? floats : "U8";
        return [.. tensor.Codec.Planes.Select((plane, number) => (
            $"{module}.{plane.Name}",
            number == 0 ? "U32" : scales,
            (long[])[.. leading, tensor.GetRowByteCount(number) / (number == 0 ? 4 : scales switch { "U8" => 1, "F32" => 4, _ => 2 })],
            Enumerable.Range(0, (int)shape.TotalRows).SelectMany(row => tensor.UnsafeGetRowBytes(row, number).ToArray()).ToArray()))];
    }

    private void Refuses(string problem, (string Name, string Type, long[] Shape, byte[] Data)[] tensors, string quantization = Affine, string more = "")
    {
        Write(quantization, tensors, more);
        Assert.That(() => ModelFolder.Open(_folder.Path), Throws.TypeOf<ModelFormatException>().With.Message.Contains(problem));
    }

    private void Write(string quantization, params (string Name, string Type, long[] Shape, byte[] Data)[] tensors) => Write(quantization, tensors, "");

    private void Write(string quantization, (string Name, string Type, long[] Shape, byte[] Data)[] tensors, string more)
    {
        _folder.Write("config.json", $$"""{"quantization": {{quantization}}, "quantization_config": {{quantization}}{{more}}}""");
        _folder.Write("model.safetensors", SafetensorsBytes.Build(tensors));
    }
}

using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Codecs.Files;
using KQuant.Codecs.Recipes;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Files;

/// <summary>The folder that a K-quant checkpoint for MLX is: files, keys, types and shapes.</summary>
public class CheckpointWriterTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void CreateFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [TestCase("tiny-dense", "q4_k")]
    [TestCase("tiny-dense", "q8_0")]
    [TestCase("tiny-moe", "q6_k")]
    [TestCase("tiny-moe", "q5_1")]
    public void HasExactlyTheFilesKeysTypesAndShapesOfTheFormat(string name, string codecName)
    {
        QuantCodec codec = Codec(codecName);
        using ModelFolder source = ModelFolder.Open(RepositoryFiles.Fixture("models", name));
        Dictionary<string, byte[]> wire = WriteQuantized(source, codec, _folder["out"]);

        Assert.That(
            _folder.Files("out"),
            Is.EqualTo(
            [
                "config.json", "generation_config.json", "merges.txt", "model.safetensors", "model.safetensors.index.json",
                "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.json",
            ]));
        foreach (string copied in AuxiliaryFiles.Find(source.Path).Files.Select(file => file.RelativePath))
        {
            byte[] original = File.ReadAllBytes(Path.Combine(source.Path, copied));
            Assert.That(File.ReadAllBytes(_folder["out/" + copied]), Is.EqualTo(original), copied);
        }

        using SafetensorsFile file = SafetensorsFile.Open(_folder["out"]);
        var expected = new Dictionary<string, (ElementType, string)>();
        foreach (ModelTensor tensor in source.Tensors)
        {
            bool quantized = wire.ContainsKey(tensor.Name);
            long[] shape = quantized ? [.. tensor.Shape[..^1], codec.GetByteCount(tensor.Shape[^1])] : [.. tensor.Shape];
            expected.Add(tensor.Name, (quantized ? ElementType.U8 : ElementType.BF16, string.Join(",", shape)));
            if (quantized)
            {
                expected.Add(tensor.Name.Replace(".weight", ".scales", StringComparison.Ordinal), (ElementType.U8, "1"));
            }
        }

        Assert.That(file.Metadata, Is.EquivalentTo(new Dictionary<string, string> { ["format"] = "mlx" }));
        Assert.That(
            file.Tensors.ToDictionary(tensor => tensor.Name, tensor => (tensor.ElementType, string.Join(",", tensor.Shape))),
            Is.EquivalentTo(expected));
        foreach (SafetensorsTensor tensor in file.Tensors.Where(tensor => tensor.Name.EndsWith(".scales", StringComparison.Ordinal)))
        {
            Assert.That(tensor.UnsafeGetBytes(0, 1)[0], Is.Zero);
        }

        CheckConfig(source, wire.Keys, codec);
        CheckIndex(source, file);
    }

    [TestCase("tiny-dense", "q4_k")]
    [TestCase("tiny-moe", "q2_k")]
    public void IsReadBackAsQuantizedModel(string name, string codecName)
    {
        QuantCodec codec = Codec(codecName);
        using ModelFolder source = ModelFolder.Open(RepositoryFiles.Fixture("models", name));
        Dictionary<string, byte[]> wire = WriteQuantized(source, codec, _folder["out"]);

        using ModelFolder model = ModelFolder.Open(_folder["out"]);
        Assert.That(model.QuantizationMode, Is.EqualTo("kquant"));
        Assert.That(
            model.Tensors.Select(tensor => (tensor.Name, string.Join(",", tensor.Shape), tensor.FormatName)),
            Is.EquivalentTo(source.Tensors.Select(
                tensor => (tensor.Name, string.Join(",", tensor.Shape), wire.ContainsKey(tensor.Name) ? codecName : tensor.FormatName))));
        foreach ((string tensor, byte[] bytes) in wire)
        {
            QuantizedTensor view = model.GetTensor(tensor[..^".weight".Length]);
            Assert.That(view.Codec, Is.SameAs(codec));
            Assert.That(view.Shape.TotalRows * view.RowByteCount, Is.EqualTo(bytes.Length));
            ReadOnlySpan<byte> lastRow = bytes.AsSpan(bytes.Length - (int)view.RowByteCount);
            Assert.That(view.UnsafeGetRowBytes(view.Shape.TotalRows - 1).SequenceEqual(lastRow), tensor);
            Assert.That(model.TryGetTensor(tensor, out ModelTensor? listed));
            Assert.That(Bytes(listed!), Is.EqualTo(bytes), tensor);
            CheckDecoded(listed!, codec, bytes);
        }

        foreach (ModelTensor kept in source.Tensors.Where(tensor => !wire.ContainsKey(tensor.Name)))
        {
            Assert.That(model.TryGetTensor(kept.Name, out ModelTensor? copy));
            Assert.That(Bytes(copy!), Is.EqualTo(Bytes(kept)), kept.Name);
        }
    }

    [Test]
    public void CopyingAModelTensorByTensorGivesTheSameFiles()
    {
        using ModelFolder source = ModelFolder.Open(RepositoryFiles.Fixture("models", "tiny-moe"));
        WriteQuantized(source, Codec("q3_k"), _folder["first"]);
        using (ModelFolder first = ModelFolder.Open(_folder["first"]))
        {
            var writer = new CheckpointWriter(first.Config);
            foreach (ModelTensor tensor in source.Tensors)
            {
                Assert.That(first.TryGetTensor(tensor.Name, out ModelTensor? quantized));
                writer.Add(quantized!);
            }

            writer.Write(_folder["second"], AuxiliaryFiles.Find(_folder["first"]));
        }

        Assert.That(_folder.Files("second"), Is.EqualTo(_folder.Files("first")));
        foreach (string file in _folder.Files("first"))
        {
            Assert.That(File.ReadAllBytes(_folder["second/" + file]), Is.EqualTo(File.ReadAllBytes(_folder["first/" + file])), file);
        }
    }

    [Test]
    public void FloatCheckpointHasNoQuantizationKeys()
    {
        using ModelFolder source = ModelFolder.Open(RepositoryFiles.Fixture("models", "tiny-moe"));
        JsonObject config = source.Config.DeepClone().AsObject();
        config["quantization"] = new JsonObject { ["mode"] = "kquant" };
        config["quantization_config"] = new JsonObject { ["mode"] = "kquant" };
        var writer = new CheckpointWriter(config, maxShardBytes: 3_000_000);
        foreach (ModelTensor tensor in source.Tensors)
        {
            writer.Add(tensor);
        }

        writer.Write(_folder["out"]);

        Assert.That(
            File.ReadAllText(_folder["out/config.json"]), Is.EqualTo(File.ReadAllText(Path.Combine(source.Path, "config.json"))));
        Assert.That(_folder.Files("out").Count(file => file.EndsWith(".safetensors", StringComparison.Ordinal)), Is.GreaterThan(2));
        using ModelFolder model = ModelFolder.Open(_folder["out"]);
        Assert.That(model.QuantizationMode, Is.Null);
        foreach (ModelTensor tensor in source.Tensors)
        {
            Assert.That(model.TryGetTensor(tensor.Name, out ModelTensor? copy));
            Assert.That(Bytes(copy!), Is.EqualTo(Bytes(tensor)), tensor.Name);
        }
    }

    [TestCase("""{"quantization": {"mode": "kquant", "per_tensor": {"m": "q8_0"}}}""")]
    [TestCase("""{"quantization": null, "quantization_config": {"mode": "kquant", "per_tensor": {"m": "q8_0"}}}""")]
    [TestCase("""{"text_config": {"quantization": {"mode": "kquant", "per_tensor": {"m": "q8_0"}}}}""")]
    [TestCase("""{"text_config": {"quantization_config": {"mode": "kquant", "per_tensor": {"m": "Q8_0"}}}, "quantization": {"bits": 4}}""")]
    public void QuantizationBlockIsFoundWhereMlxLooks(string config)
    {
        _folder.Write("config.json", config);
        _folder.Write("model.safetensors", SafetensorsBytes.Build(
            ("m.weight", "U8", [2, 34], new byte[68]), ("m.bias", "BF16", [2], new byte[4]), ("m.scales", "U8", [1], [7])));
        using ModelFolder model = ModelFolder.Open(_folder.Path);

        Assert.That(model.QuantizationMode, Is.EqualTo("kquant"));
        Assert.That(model.Tensors.Select(tensor => tensor.ToString()), Is.EqualTo(["m.weight q8_0 [2, 32]", "m.bias bf16 [2]"]));
    }

    [TestCase("""{"mode": "affine", "group_size": 64, "bits": 4}""", "affine")]
    [TestCase("""{"group_size": 64, "bits": 4}""", "affine")]
    [TestCase("""{"mode": "mxfp4", "bits": 4}""", "mxfp4")]
    [TestCase("""{"quant_method": "gptq"}""", "gptq")]
    public void OtherQuantizationIsNamed(string block, string mode)
    {
        _folder.Write("config.json", $$"""{"quantization_config": {{block}}}""");
        _folder.Write("model.safetensors", SafetensorsBytes.Build(("m.weight", "U32", [1, 1], new byte[4])));
        using ModelFolder model = ModelFolder.Open(_folder.Path);

        Assert.That(model.QuantizationMode, Is.EqualTo(mode));
        Assert.That(model.Tensors.Single().FormatName, Is.EqualTo("u32"));
    }

    [Test]
    public void ForeignCodecIsListedAndRefusedWhenItsDataIsAskedFor()
    {
        _folder.Write("config.json", """{"quantization": {"mode": "kquant", "per_tensor": {"m": "iq4_xs"}}}""");
        _folder.Write("model.safetensors", SafetensorsBytes.Build(("m.weight", "U8", [2, 136], new byte[272])));
        using ModelFolder model = ModelFolder.Open(_folder.Path);

        Assert.That(model.Tensors.Single().FormatName, Is.EqualTo("iq4_xs"));
        Assert.That(() => model.GetTensor("m"), Throws.TypeOf<NotSupportedException>().With.Message.Contains("iq4_xs"));
    }

    [TestCase("""{"m": "q8_0", "n": "q8_0"}""", "U8", 34, "'n' has no weight")]
    [TestCase("""{"m": "q8_0"}""", "U8", 33, "33 bytes")]
    [TestCase("""{"m": "q4_k"}""", "U8", 34, "34 bytes")]
    [TestCase("""{"m": "q8_0"}""", "I8", 34, "I8")]
    [TestCase("""{"m": 8}""", "U8", 34, "no string")]
    [TestCase("{}", "U8", 34, "per_tensor")]
    [TestCase("[]", "U8", 34, "per_tensor")]
    public void ContradictionsAreRefused(string perTensor, string type, int rowBytes, string message)
    {
        _folder.Write("config.json", $$$"""{"quantization": {"mode": "kquant", "per_tensor": {{{perTensor}}}}}""");
        _folder.Write("model.safetensors", SafetensorsBytes.Build(("m.weight", type, [1, rowBytes], new byte[rowBytes])));

        Assert.That(() => ModelFolder.Open(_folder.Path), Throws.TypeOf<ModelFormatException>().With.Message.Contains(message));
    }

    [Test]
    public void FailureLeavesNothing()
    {
        var writer = new CheckpointWriter([]);
        writer.Add("m.weight", Codec("q8_0"), [1, 32], stream => throw new InvalidWeightException("q8_0", 0, 0, float.NaN));

        Assert.That(() => writer.Write(_folder["out"]), Throws.TypeOf<InvalidWeightException>());
        Assert.That(Directory.EnumerateFileSystemEntries(_folder.Path), Is.Empty);
    }

    [Test]
    public void ImpossibleDeclarationsAreArgumentErrors()
    {
        var writer = new CheckpointWriter([]);
        using (Assert.EnterMultipleScope())
        {
            Assert.Throws<ArgumentException>(() => writer.Add("m", Codec("q8_0"), [1, 32], _ => { }));
            Assert.Throws<ArgumentException>(() => writer.Add("m.weight", Codec("q8_0"), [1, 33], _ => { }));
            Assert.Throws<ArgumentException>(() => writer.Add("m.weight", Codec("q8_0"), [32], _ => { }));
            Assert.Throws<ArgumentException>(() => writer.Add("n.weight", Codec("q8_0"), [1, 1, 1, 32], _ => { }));
        }
    }

    private static QuantCodec Codec(string name) =>
        QuantCodec.TryParse(name, out QuantCodec? codec) ? codec : throw new ArgumentException(name);

    private static byte[] Bytes(ModelTensor tensor)
    {
        var bytes = new byte[tensor.ByteCount];
        tensor.ReadBytes(0, bytes);
        return bytes;
    }

    /// <summary>Rows come out as the codec decodes the bytes; random bytes give any float, NaN included.</summary>
    private static void CheckDecoded(ModelTensor tensor, QuantCodec codec, byte[] wire)
    {
        var expected = new float[tensor.GetWeightCount()];
        codec.Decode(wire, expected);
        var actual = new float[expected.Length];
        int columns = tensor.GetQuantShape().Columns;
        tensor.ReadRows(0, actual.AsSpan(0, columns));
        tensor.ReadRows(1, actual.AsSpan(columns));
        Assert.That(MemoryMarshal.AsBytes(actual.AsSpan()).SequenceEqual(MemoryMarshal.AsBytes(expected.AsSpan())), tensor.Name);
    }

    /// <summary>Carries a plan out with random wire bytes, whose values do not matter here.</summary>
    private static Dictionary<string, byte[]> WriteQuantized(ModelFolder source, QuantCodec codec, string output)
    {
        var random = new Random(7);
        var wire = new Dictionary<string, byte[]>();
        var writer = new CheckpointWriter(source.Config);
        foreach (PlannedTensor planned in QuantizationPlan.Uniform(source, codec).Tensors)
        {
            if (planned.Codec is null)
            {
                writer.Add(planned.Source);
                continue;
            }

            var bytes = new byte[planned.ByteCount];
            random.NextBytes(bytes);
            wire.Add(planned.Source.Name, bytes);
            writer.Add(planned.Source.Name, planned.Codec, planned.Source.Shape.AsSpan(), stream => stream.Write(bytes));
        }

        writer.Write(output, AuxiliaryFiles.Find(source.Path));
        return wire;
    }

    private void CheckConfig(ModelFolder source, IEnumerable<string> quantized, QuantCodec codec)
    {
        string original = File.ReadAllText(Path.Combine(source.Path, "config.json"));
        string written = File.ReadAllText(_folder["out/config.json"]);
        const string Block = ",\n  \"quantization\": {\n    \"mode\": \"kquant\",\n    \"per_tensor\": {\n      \"";
        Assert.That(written, Does.StartWith(original.TrimEnd('}', '\n') + Block));

        using JsonDocument config = JsonDocument.Parse(written);
        JsonElement block = config.RootElement.GetProperty("quantization");
        Assert.That(JsonElement.DeepEquals(block, config.RootElement.GetProperty("quantization_config")));
        Assert.That(block.EnumerateObject().Select(property => property.Name), Is.EqualTo(["mode", "per_tensor"]));
        Assert.That(
            block.GetProperty("per_tensor").EnumerateObject().ToDictionary(module => module.Name, module => module.Value.GetString()),
            Is.EquivalentTo(quantized.ToDictionary(name => name[..^".weight".Length], _ => codec.Name)));
    }

    private void CheckIndex(ModelFolder source, SafetensorsFile file)
    {
        using JsonDocument index = JsonDocument.Parse(File.ReadAllBytes(_folder["out/model.safetensors.index.json"]));
        JsonElement metadata = index.RootElement.GetProperty("metadata");
        JsonElement map = index.RootElement.GetProperty("weight_map");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(index.RootElement.EnumerateObject().Select(property => property.Name), Is.EqualTo(["metadata", "weight_map"]));
            Assert.That(metadata.GetProperty("total_size").GetInt64(), Is.EqualTo(file.Tensors.Sum(tensor => tensor.ByteCount)));
            Assert.That(
                metadata.GetProperty("total_parameters").GetInt64(), Is.EqualTo(source.Tensors.Sum(tensor => tensor.GetWeightCount())));
            Assert.That(
                map.EnumerateObject().Select(entry => entry.Name),
                Is.EqualTo(file.Tensors.Select(tensor => tensor.Name).Order(StringComparer.Ordinal)));
            Assert.That(map.EnumerateObject().Select(entry => entry.Value.GetString()), Is.All.EqualTo("model.safetensors"));
        }
    }
}

using System.CommandLine;
using KQuant.Cli.Rendering;
using KQuant.Codecs;
using KQuant.Matmul;
using KQuant.Matmul.Backends;
using KQuant.Metal;
using KQuant.Models;
using KQuant.Models.Adapters;

namespace KQuant.Cli.Commands;

/// <summary>The options of all verbs that run a model.</summary>
internal sealed class ModelArguments
{
    private readonly Option<string> _model = CommonOptions.Model("A checkpoint folder, or a GGUF file.");
    private readonly Option<int> _threads = CommonOptions.Threads();
    private readonly Option<ComputeDevice> _device = DeviceOption();
    private readonly CacheArguments _cache = new();
    private readonly Option<ActivationPrecision> _activations = CommonOptions.Activations();
    private readonly Option<ModelConventions> _conventions = CommonOptions.Choice(
        "--conventions",
        "Whose behaviour to follow where implementations disagree; 'file' is Hugging Face's for folders and llama.cpp's for GGUF.",
        ("file", ModelConventions.FromFile),
        ("hf", ModelConventions.HuggingFace),
        ("llama.cpp", ModelConventions.LlamaCpp));
    private readonly Option<int> _context = CommonOptions.Number(
        "--context", "Tokens that a text may have; 0 for as many as the model was made for.", 0, 0, int.MaxValue);
    private readonly Option<int> _chunk = CommonOptions.Number("--chunk", "Tokens of a prompt that are read at once.", 512, 1, 65_536);

    private readonly Option<AdapterArgument[]> _adapters = AdapterArgument.Option();

    private readonly Option<bool> _noMap = new("--no-mmap")
    {
        Description = "Read the model into memory instead of mapping its files, which others may then cut off.",
    };

    /// <summary>Adds the options to a command.</summary>
    /// <param name="command">The command.</param>
    /// <param name="withModel">Whether <c>--model</c> is one of them, and <c>--adapter</c>.</param>
    public void AddTo(Command command, bool withModel = true)
    {
        if (withModel)
        {
            command.Options.Add(_model);
            command.Options.Add(_adapters);
        }

        foreach (Option option in (Option[])[_device, _threads, .. _cache.Options, _activations, _conventions, _context, _chunk, _noMap])
        {
            command.Options.Add(option);
        }
    }

    /// <summary>The path of the model.</summary>
    public string GetPath(ParseResult parsed) => parsed.GetModel(_model);

    /// <summary>Opens the GPU that was asked for; null for the processor.</summary>
    public MatmulBackend? OpenDevice(ParseResult parsed) => Open(parsed.GetValue(_device));

    /// <summary>Where to compute.</summary>
    internal static Option<ComputeDevice> DeviceOption() => CommonOptions.Choice(
        "--device",
        "Where products with weights are computed: the processor, a GPU by Metal (which always takes activations in float32), or the GPU if "
        + "there is one; 'cpu' if not given.",
        ("cpu", ComputeDevice.Cpu),
        ("metal", ComputeDevice.Metal),
        ("auto", ComputeDevice.Auto));

    /// <summary>Opens a GPU; null for the processor.</summary>
    internal static MetalBackend? Open(ComputeDevice device)
    {
        if (device == ComputeDevice.Cpu)
        {
            return null;
        }

        return MetalBackend.TryCreate(out MetalBackend? backend, out string? reason) || device == ComputeDevice.Auto
            ? backend
            : throw new CommandException($"--device is 'metal', but {reason}.");
    }

    /// <summary>Loads the model.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="device">What <see cref="OpenDevice"/> gave.</param>
    /// <param name="cancellation">Ends it early.</param>
    /// <param name="needsTokenizer">Whether text goes in or out.</param>
    /// <param name="isDeterministic">Whether results depend neither on the machine nor on what shares a step.</param>
    public LanguageModel Load(
        ParseResult parsed, MatmulBackend? device, CancellationToken cancellation, bool needsTokenizer = true, bool isDeterministic = false)
    {
        if (HardwareTiers.Unused is KernelTier unused)
        {
            parsed.InvocationConfiguration.Error.WriteLine(
                $"warning: the processor has {unused}, which this program does not use; 'kquant codecs --hardware' says more.");
        }

        return Load(parsed, GetPath(parsed), device, null, needsTokenizer, cancellation, isDeterministic: isDeterministic, adapters: AdapterArgument.Load(parsed.GetValue(_adapters)));
    }

    /// <summary>Loads the model at a path.</summary>
    public LanguageModel LoadAt(ParseResult parsed, string path, MatmulBackend? device, CancellationToken cancellation) =>
        Load(parsed, path, device, null, needsTokenizer: true, cancellation);

    /// <summary>Loads a second model, for token ids alone, with the options and threads of the first.</summary>
    public LanguageModel LoadBeside(LanguageModel first, ParseResult parsed, string path, CancellationToken cancellation) =>
        Load(parsed, path, first.Options.Backend, first.Context, needsTokenizer: false, cancellation);

    /// <summary>As <see cref="LoadBeside"/> a model to compare with, which remembers keys and values as they are.</summary>
    public LanguageModel LoadReference(LanguageModel first, ParseResult parsed, string path, CancellationToken cancellation) =>
        Load(parsed, path, first.Options.Backend, first.Context, needsTokenizer: false, cancellation, new CacheOptions());

    private LanguageModel Load(
        ParseResult parsed,
        string path,
        MatmulBackend? device,
        MatmulContext? context,
        bool needsTokenizer,
        CancellationToken cancellation,
        CacheOptions? cache = null,
        bool isDeterministic = false,
        IReadOnlyList<AppliedAdapter>? adapters = null)
    {
        int threads = parsed.GetThreads(_threads);
        var matmul = new MatmulOptions { Activations = parsed.GetValue(_activations), Deterministic = isDeterministic };
        var options = new ModelOptions
        {
            Conventions = parsed.GetValue(_conventions),
            Cache = cache ?? _cache.Get(parsed),
            ContextLength = parsed.GetValue(_context),
            ChunkSize = parsed.GetValue(_chunk),
            Matmul = threads < 0 ? matmul : matmul with { MaxDegreeOfParallelism = threads },
            Context = context,
            Backend = device,
            Adapters = adapters ?? [],
            LoadTokenizer = needsTokenizer,
            Map = !parsed.GetValue(_noMap),
        };
        LanguageModel? model = null;
        Progress.Show("Loading", _ => model = LanguageModel.Load(path, options, cancellationToken: cancellation));
        return model!;
    }
}

using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Adapters;

/// <summary>What PEFT's <c>adapter_config.json</c> says of an adapter that is used as it is: its scales. What changes the function otherwise is refused.</summary>
internal sealed class PeftConfig
{
    /// <summary>Fields that compute something else when they are set to anything but these: null, false, nothing.</summary>
    private static readonly (string Field, string Meaning)[] Foreign =
    [
        ("layer_replication", "layers of the model are repeated"),
        ("use_qalora", "inputs are pooled"),
        ("alora_invocation_tokens", "it acts behind certain tokens only"),
        ("arrow_config", "it chooses among adapters for every token"),
        ("use_bdlora", "its matrices are made of blocks"),
        ("modules_to_save", "it replaces whole modules"),
        ("target_parameters", "it changes parameters that are no modules"),
        ("trainable_token_indices", "it replaces rows of the embedding"),
        ("lora_bias", "it has biases"),
        ("megatron_config", "its layers are those of Megatron"),
    ];

    private static readonly string[] Initialisations = ["pissa", "olora", "eva", "corda", "loftq", "lora_ga"];

    private readonly string _path;
    private readonly double _alpha;
    private readonly bool _isRankStabilized;
    private readonly List<(Regex Pattern, double Alpha)> _alphas = [];

    private PeftConfig(string path, JsonObject config)
    {
        _path = path;
        string? kind = config["peft_type"].AsString();
        if (kind != "LORA")
        {
            throw new ModelFormatException(path, $"peft_type is '{Printable.Shorten(kind ?? "")}'; LORA is what can be used");
        }

        foreach ((string field, string meaning) in Foreign)
        {
            if (IsSet(config[field]))
            {
                throw new ModelFormatException(path, $"{field} is set: {meaning}, which cannot be computed here");
            }
        }

        string bias = config["bias"].AsString() ?? "none";
        if (bias != "none")
        {
            throw new ModelFormatException(path, $"bias is '{Printable.Shorten(bias)}': the adapter changes biases of the model, which cannot be computed here");
        }

        if (config["init_lora_weights"].AsString() is { } initialisation
            && Array.Exists(Initialisations, known => initialisation.StartsWith(known, StringComparison.OrdinalIgnoreCase)))
        {
            throw new ModelFormatException(
                path, $"init_lora_weights is '{Printable.Shorten(initialisation)}', which changes the model itself; convert the adapter to an ordinary one in PEFT first");
        }

        IsDora = config["use_dora"].AsBoolean() ?? false;
        BaseModel = config["base_model_name_or_path"].AsString();
        _isRankStabilized = config["use_rslora"].AsBoolean() ?? false;
        CheckRank(config["r"], "r");
        _alpha = config["lora_alpha"] is { } alpha ? Number(alpha, "lora_alpha") : 8;
        foreach ((string key, JsonNode? rank) in config["rank_pattern"] as JsonObject ?? [])
        {
            CheckRank(rank, $"rank_pattern of '{Printable.Shorten(key)}'");
        }

        foreach ((string key, JsonNode? value) in config["alpha_pattern"] as JsonObject ?? [])
        {
            _alphas.Add((Compile(key), Number(value, $"alpha_pattern of '{Printable.Shorten(key)}'")));
        }
    }

    /// <summary>Whether rows are brought to given lengths.</summary>
    public bool IsDora { get; }

    /// <summary>The model that it was made for.</summary>
    public string? BaseModel { get; }

    public static PeftConfig Read(string path) => new(path, ConfigFile.Read(path));

    /// <summary>The scale of a module, under the name that the file has.</summary>
    public float GetScale(string module, int rank)
    {
        double alpha = _alpha;
        foreach ((Regex pattern, double value) in _alphas)
        {
            if (pattern.IsMatch(module))
            {
                alpha = value;
                break;
            }
        }

        return (float)(alpha / (_isRankStabilized ? Math.Sqrt(rank) : rank));
    }

    private static bool IsSet(JsonNode? value) => value switch
    {
        null => false,
        JsonArray items => items.Count > 0,
        JsonObject members => members.Count > 0,
        _ => value.GetValueKind() is not (JsonValueKind.False or JsonValueKind.Null),
    };

    private void CheckRank(JsonNode? value, string field)
    {
        if (value is not null && value.AsInteger() is not > 0)
        {
            throw new ModelFormatException(_path, $"{field} is {Printable.Shorten(value.ToJsonString())}, which is no rank");
        }
    }

    private double Number(JsonNode? value, string field)
    {
        double? number = value.AsNumber();
        return number is { } found && double.IsFinite(found)
            ? found
            : throw new ModelFormatException(_path, $"{field} is {Printable.Shorten(value?.ToJsonString() ?? "null")}, which is no number");
    }

    /// <summary>As PEFT matches them; without backtracking, because the pattern is a stranger's.</summary>
    private Regex Compile(string key)
    {
        try
        {
            return new Regex($@"^(?:(?:.*\.)?(?:{key}))$", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        }
        catch (Exception exception) when (exception is ArgumentException or NotSupportedException)
        {
            throw new ModelFormatException(_path, $"alpha_pattern has '{Printable.Shorten(key)}', which is no pattern that can be matched here", innerException: exception);
        }
    }
}

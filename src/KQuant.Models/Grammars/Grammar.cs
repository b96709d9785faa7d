using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json.Nodes;
using KQuant.Models.Generation;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Grammars;

/// <summary>
/// What a text may look like. A model that generates with a grammar chooses among the tokens that it allows, so that every text that comes to
/// its end fits it; a text that is cut off (<see cref="GenerationOptions.MaxTokens"/>) is a beginning of one. Immutable and thread-safe.
/// </summary>
/// <example>
/// <code>
/// var grammar = Grammar.Parse("""
///     root   ::= answer (", " answer)*
///     answer ::= "yes" | "no"
///     """);
/// var options = new GenerationOptions { Processors = [grammar.CreateProcessor(model.Tokenizer)], MaxTokens = 32 };
/// string text = string.Concat(model.Generate(model.Tokenizer.Encode("Is it?"), options).Select(token =&gt; token.Text));
/// </code>
/// </example>
public sealed class Grammar
{
    /// <summary>Calls within calls of a grammar that was written by hand.</summary>
    private const int MaxDepth = 512;

    /// <summary>Readers of JSON take 64 levels, and each level is a call.</summary>
    private const int MaxJsonDepth = 60;

    private readonly GrammarNetwork _network;
    private readonly string _text;
    private readonly ConditionalWeakTable<Tokenizer, TokenMasks> _masks = [];

    private Grammar(string text, string root, int maxDepth)
    {
        _text = text;
        _network = GrammarNetwork.Compile(GrammarParser.Parse(text), root, maxDepth);
    }

    /// <summary>Any JSON object, nested 60 levels at most.</summary>
    public static Grammar JsonObject { get; } = new(JsonRules.Object, JsonRules.Root, MaxJsonDepth);

    /// <summary>Reads a grammar in the form of llama.cpp's GBNF.</summary>
    /// <remarks>
    /// Rules are <c>name ::= ...</c> with texts in quotes, sets of characters in brackets, <c>.</c> for any character, groups,
    /// <c>|</c>, <c>*</c>, <c>+</c>, <c>?</c>, <c>{m,n}</c>, and <c>&lt;[1000]&gt;</c> for a token by its id, also one that is no text. A rule
    /// may call itself, but not before it has read something. Calls nest 512 deep at most.
    /// </remarks>
    /// <param name="text">The grammar.</param>
    /// <param name="root">The rule that texts fit.</param>
    /// <returns>The grammar.</returns>
    /// <exception cref="GrammarException">It is not well-formed, too large, or no text fits it; the message says why.</exception>
    public static Grammar Parse([StringSyntax("GBNF")] string text, string root = "root")
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(root);
        return new Grammar(text, root, MaxDepth);
    }

    /// <summary>The JSON texts that fit a schema.</summary>
    /// <remarks>
    /// Understood are <c>type</c>, also as a list, <c>enum</c>, <c>const</c>, <c>anyOf</c> (and <c>oneOf</c> as such), <c>allOf</c> of one,
    /// <c>$ref</c> within the schema, <c>properties</c>, <c>required</c>, <c>additionalProperties</c>, <c>items</c>, <c>prefixItems</c>,
    /// <c>minItems</c>, <c>maxItems</c>, <c>minLength</c>, <c>maxLength</c>, <c>pattern</c> (without look-around), <c>minimum</c>,
    /// <c>maximum</c> and their exclusive forms, <c>nullable</c>, and the formats <c>date</c>, <c>time</c>, <c>date-time</c>, <c>uuid</c> and
    /// <c>ipv4</c>. Every text that the grammar allows fits the schema, but not the other way round: properties come in the order of the schema,
    /// there are no others unless <c>additionalProperties</c> says so, whitespace is short, and numbers have up to fifteen digits.
    /// </remarks>
    /// <param name="schema">The schema: an object, or true.</param>
    /// <returns>The grammar.</returns>
    /// <exception cref="GrammarException">The schema is not well-formed, too large, or nothing fits it.</exception>
    /// <exception cref="NotSupportedException">It has a keyword that is not understood and would restrict texts.</exception>
    /// <example>
    /// <code>
    /// var person = Grammar.FromJsonSchema(JsonNode.Parse("""
    ///     {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name"]}
    ///     """)!);
    /// var options = new GenerationOptions { Processors = [person.CreateProcessor(model.Tokenizer)], MaxTokens = 64 };
    /// </code>
    /// </example>
    public static Grammar FromJsonSchema(JsonNode schema)
    {
        ArgumentNullException.ThrowIfNull(schema);
        return new Grammar(JsonSchemaGrammar.Write(schema), JsonRules.Root, MaxJsonDepth);
    }

    /// <summary>The texts with JSON in them that some parts are put together to; see <see cref="JsonSchemaGrammar"/>.</summary>
    internal static Grammar FromJsonSchemas(IReadOnlyList<JsonNode> schemas, Func<string[], string> combine) =>
        new(JsonSchemaGrammar.Write(schemas, combine), JsonRules.Root, MaxJsonDepth);

    /// <summary>A processor that lets texts go on only as the grammar allows.</summary>
    /// <param name="tokenizer">The tokenizer of the model.</param>
    /// <returns>The processor, for any number of texts, also at once. What was found out about tokens is kept with the grammar.</returns>
    public LogitsProcessor CreateProcessor(Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        return new GrammarProcessor(_masks.GetValue(tokenizer, key => new TokenMasks(_network, key)));
    }

    /// <summary>Whether a text fits.</summary>
    /// <param name="text">The text.</param>
    /// <returns>False when it does not, also when it is only the beginning of one that does.</returns>
    public bool IsMatch(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var states = new GrammarStates(_network);
        GrammarState? state = states.Start;
        foreach (byte value in Encoding.UTF8.GetBytes(text))
        {
            state = state is null ? null : states.Step(state, value);
        }

        return state?.IsAccepting == true;
    }

    /// <summary>The rules.</summary>
    /// <returns>The grammar as GBNF.</returns>
    public override string ToString() => _text;
}

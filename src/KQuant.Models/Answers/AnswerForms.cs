using System.Text.Json.Nodes;
using KQuant.Models.Generation;
using KQuant.Models.Grammars;
using KQuant.Models.Templates;
using KQuant.Models.Tokenizers;
using static System.FormattableString;

namespace KQuant.Models.Answers;

/// <summary>Finds the form of a model's answers by its chat template, and what answers of it look like.</summary>
internal static class AnswerForms
{
    /// <summary>The form that a template asks for.</summary>
    public static AnswerForm Find(ChatTemplate template)
    {
        string source = (template.Names.Contains("tool_use") ? template.Select("tool_use") : template).Source;
        bool Has(string text) => source.Contains(text, StringComparison.Ordinal);
        return Has("<|channel|>") ? AnswerForm.Harmony
            : Has("[TOOL_CALLS]") ? AnswerForm.Mistral
            : Has("<tool_call>") && !Has("<function=") && !Has("<arg_key>") ? AnswerForm.Hermes
            : Has("<|python_tag|>") || (Has("<|start_header_id|>") && Has("\"parameters\"")) ? AnswerForm.Llama3
            : AnswerForm.Plain;
    }

    /// <summary>Whether marks of the form may be control tokens, which texts lack otherwise.</summary>
    public static bool HasControls(AnswerForm form) => form is AnswerForm.Llama3 or AnswerForm.Mistral or AnswerForm.Harmony;

    /// <summary>The text of a token without the mark that ends an answer, which is shown with other control tokens.</summary>
    public static string TextOf(GeneratedToken token, Tokenizer tokenizer, GenerationOptions options)
    {
        string end = token.FinishReason == FinishReason.EndOfText && options.IncludeSpecialTokens ? tokenizer.Decode([token.Id]) : "";
        return tokenizer.IsSpecial(token.Id) && end.Length > 0 && token.Text.EndsWith(end, StringComparison.Ordinal) ? token.Text[..^end.Length] : token.Text;
    }

    /// <summary>The grammar of answers.</summary>
    /// <param name="form">Their form.</param>
    /// <param name="tokenizer">Knows which marks are tokens.</param>
    /// <param name="tools">The functions of which one is to be called, and the schemas of their arguments; none for no calls.</param>
    /// <param name="isMany">Whether several calls may come.</param>
    /// <param name="reply">The schema of an answer that is no call; null for none.</param>
    /// <param name="isThinking">Whether the prompt ends with the beginning of a thought.</param>
    public static Grammar Create(
        AnswerForm form, Tokenizer tokenizer, IReadOnlyList<(string Name, JsonNode Schema)> tools, bool isMany, JsonNode? reply, bool isThinking)
    {
        JsonNode[] schemas = [.. tools.Select(tool => tool.Schema), .. reply is null ? (JsonNode[])[] : [reply]];
        return Grammar.FromJsonSchemas(schemas, parts =>
        {
            string[] calls = [.. tools.Select((tool, i) => Call(form, tokenizer, tool.Name, parts[i]))];
            string one = "( " + string.Join(" | ", calls) + " )";
            var choices = new List<string>();
            if (calls.Length > 0)
            {
                choices.Add(form switch
                {
                    AnswerForm.Hermes => isMany ? $"{one} ( \"\\n\" {one} )*" : one,
                    AnswerForm.Mistral => $"{Mark(tokenizer, "[TOOL_CALLS]")} \"[\" {(isMany ? $"{one} ( \", \" {one} )*" : one)} \"]\"",
                    AnswerForm.Harmony => $"{Mark(tokenizer, "<|channel|>")} \"commentary to=functions.\" {one}",
                    _ => one,
                });
            }

            if (reply is not null)
            {
                choices.Add(form == AnswerForm.Harmony
                    ? $"{Mark(tokenizer, "<|channel|>")} \"final\" {Mark(tokenizer, "<|message|>")} {parts[^1]}"
                    : parts[^1]);
            }

            string answer = "( " + string.Join(" | ", choices) + " )";
            return form == AnswerForm.Harmony ? $"( {Analysis(tokenizer)} )? {answer}"
                : isThinking ? $"( [^<] | \"<\" [^/<] )* \"</think>\" \"\\n\"{{0,2}} {answer}"
                : answer;
        });
    }

    private static string Call(AnswerForm form, Tokenizer tokenizer, string name, string arguments)
    {
        string quoted = JsonRules.Text(name);
        return form switch
        {
            AnswerForm.Hermes => $"{Text($"<tool_call>\n{{\"name\": {quoted}, \"arguments\": ")} {arguments} {Text("}\n</tool_call>")}",
            AnswerForm.Mistral => $"{Text($"{{\"name\": {quoted}, \"arguments\": ")} {arguments} \"}}\"",
            AnswerForm.Llama3 => $"{Text($"{{\"name\": {quoted}, \"parameters\": ")} {arguments} \"}}\"",
            AnswerForm.Harmony =>
                $"{Text(name)} ( \" \" {Mark(tokenizer, "<|constrain|>")} \"json\" )? {Mark(tokenizer, "<|message|>")} {arguments}",
            _ => throw new NotSupportedException("How this model calls tools is not known."),
        };
    }

    /// <summary>A thought; where the marks are no tokens, the text in it has no beginning of a mark.</summary>
    private static string Analysis(Tokenizer tokenizer)
    {
        string end = Mark(tokenizer, "<|end|>"), text = end[0] == '<' ? ".*" : "( [^<] | \"<\" [^|<] )*";
        return $"{Mark(tokenizer, "<|channel|>")} \"analysis\" {Mark(tokenizer, "<|message|>")} {text} {end} {Mark(tokenizer, "<|start|>")} \"assistant\"";
    }

    private static string Text(string text) => JsonRules.QuoteText(text);

    /// <summary>A mark as the control token that it is, or as text.</summary>
    private static string Mark(Tokenizer tokenizer, string mark) =>
        tokenizer.TryGetId(mark, out int id) && tokenizer.IsSpecial(id) ? Invariant($"<[{id}]>") : Text(mark);
}

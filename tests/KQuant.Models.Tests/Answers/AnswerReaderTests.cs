using KQuant.Models.Answers;
using Microsoft.Extensions.AI;

namespace KQuant.Models.Tests.Answers;

/// <summary>Answers of every form come apart, in whatever pieces they come.</summary>
public class AnswerReaderTests
{
    private const string Weather = "weather{\"city\":\"Bath\"}";

    private static readonly HashSet<string> Tools = ["weather", "time"];

    [TestCase("Plain", "Hello <tool_call> there", "T:Hello <tool_call> there")]
    [TestCase("Plain", "<think>\nHm.\n</think>\n\nYes.", "R:Hm.\n|T:Yes.")]
    [TestCase("Plain", "Yes <think>", "T:Yes <think>")]
    [TestCase("Hermes", "<think>a</think>\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Bath\"}}\n</tool_call>", "R:a|C:" + Weather)]
    [TestCase("Hermes", "Let me see.\n<tool_call>{\"name\":\"weather\",\"arguments\":\"{\\\"city\\\":\\\"Bath\\\"}\"}</tool_call>\n<tool_call>{\"name\":\"time\"}</tool_call>",
        "T:Let me see.\n|C:" + Weather + "|C:time{}")]
    [TestCase("Hermes", "<tool_call>{oops}</tool_call> so", "T:<tool_call>{oops}</tool_call> so")]
    [TestCase("Hermes", "a < b and <tool", "T:a < b and <tool")]
    [TestCase("Llama3", "{\"name\": \"weather\", \"parameters\": {\"city\": \"Bath\"}}", "C:" + Weather)]
    [TestCase("Llama3", "<|python_tag|>{\"name\": \"weather\", \"parameters\": {\"city\": \"Bath\"}}; {\"name\": \"time\", \"parameters\": {}}", "C:" + Weather + "|C:time{}")]
    [TestCase("Llama3", "{\"a\": 1}", "T:{\"a\": 1}")]
    [TestCase("Llama3", "It is {\"name\": \"weather\"}", "T:It is {\"name\": \"weather\"}")]
    [TestCase("Mistral", "[TOOL_CALLS][{\"name\": \"weather\", \"arguments\": {\"city\": \"Bath\"}}, {\"name\": \"time\", \"arguments\": {}}]", "C:" + Weather + "|C:time{}")]
    [TestCase("Mistral", "[TOOL_CALLS]weather[ARGS]{\"city\": \"Bath\"}[TOOL_CALLS]time[ARGS]{}", "C:" + Weather + "|C:time{}")]
    [TestCase("Mistral", "Yes [1].", "T:Yes [1].")]
    [TestCase("Harmony", "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>", "R:Hm.|T:Yes.")]
    [TestCase("Harmony",
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{\"city\":\"Bath\"}<|call|>",
        "R:Hm.|C:" + Weather)]
    [TestCase("Harmony", "<|channel|>commentary to=functions.weather<|message|>{\"city\":\"Bath\"}", "C:" + Weather)]
    [TestCase("Harmony", "<|channel|>final<|message|>a <| b", "T:a <| b")]
    [TestCase("Harmony", " to=functions.weather<|channel|>commentary json<|message|>{\"city\":\"Bath\"}<|call|>", "C:" + Weather)]
    [TestCase("Harmony",
        "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant to=functions.time<|channel|>commentary<|message|>{}<|call|>", "T:I look.|C:time{}")]
    [TestCase("Harmony", "<|channel|>commentary to=functions.time<|message|>{}<|channel|>final<|message|>Yes.", "C:time{}|T:Yes.")]
    [TestCase("Harmony", "No channel at all.", "T:No channel at all.")]
    [TestCase("Hermes", "a <tool_call>{oops", "T:a <tool_call>{oops")]
    [TestCase("Hermes", "<tool_call>time {}</tool_call>", "T:<tool_call>time {}</tool_call>")]
    [TestCase("Hermes", "<tool_call>{\"name\":\"\\ud800\"}</tool_call>", "T:<tool_call>{\"name\":\"\\ud800\"}</tool_call>")]
    [TestCase("Hermes", "<tool_call>{\"name\":\"time\",\"arguments\":{\"\\ud800\":1}}</tool_call>", "T:<tool_call>{\"name\":\"time\",\"arguments\":{\"\\ud800\":1}}</tool_call>")]
    [TestCase("Hermes", "<tool_call>{\"name\":\"time\",\"arguments\":[1]}</tool_call>", "T:<tool_call>{\"name\":\"time\",\"arguments\":[1]}</tool_call>")]
    [TestCase("Llama3", "{\"name\": \"Bath\", \"parameters\": {}}", "T:{\"name\": \"Bath\", \"parameters\": {}}")]
    [TestCase("Llama3", "<think>a</think>{\"name\": \"time\", \"parameters\": {}}", "R:a|C:time{}")]
    [TestCase("Mistral", "[THINK]a[/THINK]b", "R:a|T:b")]
    [TestCase("Mistral", "[TOOL_CALLS]time[CALL_ID]123[ARGS]{}", "C:time{}")]
    public void AnAnswerComesApart(string form, string text, string expected)
    {
        for (int size = 1; size <= text.Length; size = size < 6 ? size + 1 : size * 3)
        {
            var reader = new AnswerReader(Enum.Parse<AnswerForm>(form), form == "Plain" ? new HashSet<string>() : Tools, isThinking: false);
            var contents = new List<AIContent>();
            for (int at = 0; at < text.Length; at += size)
            {
                contents.AddRange(reader.Append(text.Substring(at, Math.Min(size, text.Length - at))));
            }

            contents.AddRange(reader.Finish(isCut: false));
            Assert.That(Describe(contents), Is.EqualTo(expected), $"{size} at a time");
            Assert.That(reader.Calls, Is.EqualTo(contents.OfType<FunctionCallContent>().Count()));
        }
    }

    [Test]
    public void AThoughtThatThePromptBeganIsOne()
    {
        var reader = new AnswerReader(AnswerForm.Plain, new HashSet<string>(), isThinking: true);
        List<AIContent> contents = [.. reader.Append("Hm.</think>Yes."), .. reader.Finish(isCut: false)];
        Assert.That(Describe(contents), Is.EqualTo("R:Hm.|T:Yes."));
    }

    [Test]
    public void ACallThatIsCutOffIsText()
    {
        var reader = new AnswerReader(AnswerForm.Hermes, Tools, isThinking: false);
        List<AIContent> contents = [.. reader.Append("<tool_call>{\"name\":"), .. reader.Finish(isCut: true)];
        Assert.That(Describe(contents), Is.EqualTo("T:<tool_call>{\"name\":"));
    }

    private static string Describe(IEnumerable<AIContent> contents)
    {
        var parts = new List<string>();
        foreach (AIContent content in contents)
        {
            string part = content switch
            {
                TextContent text => "T:" + text.Text,
                TextReasoningContent thought => "R:" + thought.Text,
                FunctionCallContent call => $"C:{call.Name}{System.Text.Json.JsonSerializer.Serialize(call.Arguments)}",
                _ => content.GetType().Name,
            };
            if (parts.Count > 0 && part[0] != 'C' && parts[^1][0] == part[0])
            {
                parts[^1] += part[2..];
            }
            else
            {
                parts.Add(part);
            }
        }

        return string.Join('|', parts);
    }
}

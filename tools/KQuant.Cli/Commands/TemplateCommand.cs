using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Models.Templates;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant template</c>: shows the prompt that a chat template makes of messages.</summary>
internal static class TemplateCommand
{
    internal static Command Create()
    {
        Option<string> model = CommonOptions.Model("A model folder or a GGUF file with a chat template.");
        var messages = new Option<string>("--messages")
        {
            Description = "A JSON file with a list of messages, or an object with 'messages', 'tools' and further variables.",
            HelpName = "file",
            Required = true,
        };
        var plain = new Option<bool>("--no-generation-prompt") { Description = "Do not end with the beginning of an answer." };
        var command = new Command("template", "Render a conversation with the chat template of a model.") { model, messages, plain };
        command.SetWork((parsed, cancellationToken) =>
        {
            string path = parsed.GetValue(model)!;
            ChatTemplate template = ChatTemplate.Load(path) ?? throw new CommandException($"{path} has no chat template.");
            JsonObject variables = ReadConversation(parsed.GetValue(messages)!);
            ChatMessage[] conversation = [.. Messages(variables, parsed.GetValue(messages)!)];
            JsonArray? tools = Take(variables, "tools") as JsonArray;
            parsed.InvocationConfiguration.Output.Write(
                template.Render(conversation, tools, !parsed.GetValue(plain), variables, cancellationToken));
        });
        return command;
    }

    private static JsonObject ReadConversation(string path)
    {
        try
        {
            return JsonNode.Parse(File.ReadAllText(path)) switch
            {
                JsonArray list => new JsonObject { ["messages"] = list },
                JsonObject whole when whole["messages"] is JsonArray => whole,
                _ => throw new CommandException($"{path} is neither a list of messages nor an object with one."),
            };
        }
        catch (JsonException exception)
        {
            throw new CommandException($"{path} is not valid JSON: {exception.Message}");
        }
    }

    private static IEnumerable<ChatMessage> Messages(JsonObject variables, string path)
    {
        foreach (JsonNode? message in (JsonArray)Take(variables, "messages")!)
        {
            yield return ChatMessage.FromJson(message as JsonObject ?? throw new CommandException($"{path} has a message that is no object."));
        }
    }

    private static JsonNode? Take(JsonObject variables, string name)
    {
        JsonNode? node = variables[name];
        variables.Remove(name);
        return node;
    }
}

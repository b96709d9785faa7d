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
        var name = new Option<string>("--name") { Description = "Which of several templates of the model.", HelpName = "name" };
        var plain = new Option<bool>("--no-generation-prompt") { Description = "Do not end with the beginning of an answer." };
        var command = new Command("template", "Render a conversation with the chat template of a model.") { model, messages, name, plain };
        command.SetWork((parsed, cancellationToken) =>
        {
            string path = parsed.GetModel(model);
            ChatTemplate template = ChatTemplate.Load(path) ?? throw new CommandException($"{path} has no chat template.");
            if (parsed.GetValue(name) is string chosen)
            {
                template = template.Names.Contains(chosen)
                    ? template.Select(chosen)
                    : throw new CommandException($"{path} has no chat template named '{chosen}'; it has {string.Join(", ", template.Names)}.");
            }

            JsonObject variables = ReadConversation(parsed.GetValue(messages)!);
            TemplateMessage[] conversation = [.. Messages(variables, parsed.GetValue(messages)!)];
            JsonArray? tools = Take(variables, "tools") is { } given
                ? given as JsonArray ?? throw new CommandException($"{parsed.GetValue(messages)} has 'tools' that are no list.")
                : null;
            string text = template.Render(conversation, tools, !parsed.GetValue(plain), variables, cancellationToken);
            if (tools is not null && !template.TakesTools)
            {
                parsed.InvocationConfiguration.Error.WriteLine($"warning: the chat template of {path} does not read tools; the text is without them.");
            }

            parsed.InvocationConfiguration.Output.Write(text);
        });
        return command;
    }

    private static JsonObject ReadConversation(string path)
    {
        try
        {
            return JsonText.Parse(Utf8Reader.ReadFile(path)) switch
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

    private static IEnumerable<TemplateMessage> Messages(JsonObject variables, string path)
    {
        int number = 0;
        foreach (JsonNode? message in (JsonArray)Take(variables, "messages")!)
        {
            number++;
            TemplateMessage read;
            try
            {
                read = TemplateMessage.FromJson(message as JsonObject ?? throw new FormatException("A message is an object."));
            }
            catch (FormatException exception)
            {
                throw new CommandException($"{path}, message {number}: {exception.Message}");
            }

            yield return read;
        }
    }

    private static JsonNode? Take(JsonObject variables, string name)
    {
        JsonNode? node = variables[name];
        variables.Remove(name);
        return node;
    }
}

using System.Text;
using System.Text.Json.Nodes;
using KQuant.Models.Tokenizers;

namespace KQuant.Models.Templates;

/// <summary>A conversation and the template that it is rendered with.</summary>
internal sealed class Rendering(
    ParsedTemplate template,
    JsonObject modelVariables,
    TimeProvider clock,
    IReadOnlyList<TemplateMessage> messages,
    JsonArray? tools,
    bool addGenerationPrompt,
    JsonObject? variables)
{
    /// <summary>Renders.</summary>
    /// <param name="marks">What replaces characters of the conversation; null for nothing.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public string Run(ContentMarks? marks, CancellationToken cancellationToken)
    {
        var scope = new Scope(JinjaGlobals.Create());
        Add(scope, modelVariables, null);
        var list = new List<object?>(messages.Count);
        foreach (TemplateMessage message in messages)
        {
            list.Add(message.ToValue(marks));
        }

        scope["messages"] = new JinjaList(list, isInput: true);
        scope["tools"] = JinjaInput.Convert(tools, isInput: true, marks);
        scope["documents"] = null;
        scope["add_generation_prompt"] = addGenerationPrompt;
        Add(scope, variables ?? [], marks);
        return Run(template.Body, new RenderContext(scope, clock, new RenderBudget(InputLength(), cancellationToken), marks), scope);
    }

    public static string Run(Statement body, RenderContext context, Scope variables)
    {
        var output = new StringBuilder();
        try
        {
            // What a template sets at its top is a variable of its own, not one of the caller's.
            body.Execute(context, new Scope(variables), output);
        }
        catch (Exception exception) when (exception is InsufficientExecutionStackException or OutOfMemoryException)
        {
            throw new TemplateException("the chat template nests too deep or needs too much memory");
        }

        return output.ToString();
    }

    /// <summary>Adds variables; the names of special tokens keep their texts, whatever replaces characters.</summary>
    public static void Add(Scope scope, JsonObject variables, ContentMarks? marks)
    {
        foreach ((string name, JsonNode? value) in variables)
        {
            scope[name] = JinjaInput.Convert(value, isInput: true, name.EndsWith("_token", StringComparison.Ordinal) ? null : marks);
        }
    }

    /// <summary>The private-use characters of the conversation, of what it was rendered to, and of the template.</summary>
    public HashSet<char> PrivateUseCharacters(params ReadOnlySpan<string> others)
    {
        var found = new HashSet<char>();
        void Look(string? text)
        {
            foreach (char character in text ?? "")
            {
                if (character is >= '\uE000' and <= '\uF8FF')
                {
                    found.Add(character);
                }
            }
        }

        foreach (string text in others)
        {
            Look(text);
        }

        foreach (string text in template.Texts)
        {
            Look(text);
        }

        Visit(Look);
        return found;
    }

    private long InputLength()
    {
        long length = 0;
        Visit(text => length += text?.Length ?? 0);
        return length;
    }

    private void Visit(Action<string?> visitor)
    {
        foreach (TemplateMessage message in messages)
        {
            visitor(message.Role);
            visitor(message.Content);
            Visit(message.More, visitor);
        }

        Visit(tools, visitor);
        Visit(variables, visitor);
    }

    private static void Visit(JsonNode? node, Action<string?> visitor)
    {
        System.Runtime.CompilerServices.RuntimeHelpers.EnsureSufficientExecutionStack();
        switch (node)
        {
            case JsonObject members:
                foreach ((string name, JsonNode? member) in members)
                {
                    visitor(name);
                    Visit(member, visitor);
                }

                break;
            case JsonArray items:
                foreach (JsonNode? item in items)
                {
                    Visit(item, visitor);
                }

                break;
            case JsonValue value when value.TryGetValue(out string? text):
                visitor(text);
                break;
        }
    }
}

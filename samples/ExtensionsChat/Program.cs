using System.ComponentModel;
using KQuant.Models;
using Microsoft.Extensions.AI;

// ExtensionsChat MODEL: a conversation through Microsoft.Extensions.AI with a tool, one line of the standard input for each turn.
// The chat template of the model has to take tools.
if (args is not [string path])
{
    Console.Error.WriteLine("ExtensionsChat MODEL");
    return 2;
}

using IChatClient client = new ChatClientBuilder(LanguageModel.Load(path).AsIChatClient(ownsModel: true)).UseFunctionInvocation().Build();
var options = new ChatOptions
{
    MaxOutputTokens = 100,
    Temperature = 0,
    Tools = [AIFunctionFactory.Create(CountChapters, "count_chapters")],

    // A grammar holds the model to a call; without this line it calls when it sees fit. What it says of the result is free.
    ToolMode = ChatToolMode.RequireAny,
    AllowMultipleToolCalls = false,
};
var history = new List<ChatMessage>();
while (Console.ReadLine() is { } line)
{
    history.Add(new ChatMessage(ChatRole.User, line));
    ChatResponse response = await client.GetResponseAsync(history, options);
    foreach (AIContent content in response.Messages.SelectMany(message => message.Contents))
    {
        Console.WriteLine(content switch
        {
            FunctionCallContent call => $"{call.Name}({string.Join(", ", call.Arguments!.Select(argument => $"{argument.Key}: {argument.Value}"))})",
            FunctionResultContent result => $"  {result.Result}",
            _ => content.ToString(),
        });
    }

    history.AddMessages(response);
}

return 0;

[Description("How many chapters a novel has.")]
static int CountChapters(Novel novel) => novel == Novel.Emma ? 55 : 61;

/// <summary>What the tool knows.</summary>
internal enum Novel
{
    Emma,
    PrideAndPrejudice,
}

using KQuant.Codecs;
using KQuant.Models;
using KQuant.Models.Generation;
using KQuant.Models.Templates;

// AotChat MODEL: a chat in the console, compiled ahead of time by
//   dotnet publish samples/AotChat -c Release -r linux-x64 -p:PublishAot=true -o out/AotChat
if (args is not [string path])
{
    Console.Error.WriteLine("AotChat MODEL");
    return 2;
}

if (HardwareTiers.Unused is KernelTier unused)
{
    Console.Error.WriteLine($"This processor has {unused}, which this build does not use; see IlcInstructionSet in docs/aot.md.");
}

using LanguageModel model = LanguageModel.Load(path);
var options = new GenerationOptions { MaxTokens = 24, Sampling = SamplingOptions.Greedy };
var messages = new List<TemplateMessage>();
while (Console.ReadLine() is { } line)
{
    messages.Add(new TemplateMessage("user", line));
    string answer = "";
    foreach (GeneratedToken token in model.Generate(model.EncodeChat(messages), options))
    {
        Console.Write(token.Text);
        answer += token.Text;
    }

    Console.WriteLine();
    messages.Add(new TemplateMessage("assistant", answer));
}

return 0;

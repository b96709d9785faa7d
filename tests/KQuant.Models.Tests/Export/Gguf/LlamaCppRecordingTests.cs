using KQuant.TestKit;

namespace KQuant.Models.Tests.Export;

/// <summary>llama.cpp computed for the GGUF files of random checkpoints what the checkpoints mean.</summary>
public class LlamaCppRecordingTests
{
    private const int QuickLength = 12;

    private static IEnumerable<string> Names => RandomCheckpoint.Names;

    /// <summary>The first positions, which suffice to see an error; all of them where a new recording is made.</summary>
    [TestCaseSource(nameof(Names))]
    public void ProbabilitiesAreThoseOfTheCheckpoint(string name)
    {
        int length = LlamaCppRecording.Folder is null ? QuickLength : LlamaCppRecording.Prompt.Length;
        var checkpoint = RandomCheckpoint.Create(name);
        int[] prompt = LlamaCppRecording.Prompt[..length];
        (double[] next, (int Id, double Probability)[] top) = LlamaCppRecording.Checkpoint(name);
        double[][] expected = new ReferenceDecoder(checkpoint.Config, checkpoint.Tensors).NextTokens(prompt);

        // llama.cpp looks Gemma's activation up in a table of binary16.
        double tolerance = name.StartsWith("gemma", StringComparison.Ordinal) ? 1e-3 : 2e-5;
        Assert.Multiple(() =>
        {
            for (int i = 0; i < prompt.Length - 1; i++)
            {
                Assert.That(next[i], Is.EqualTo(expected[i][prompt[i + 1]]).Within(tolerance), $"position {i}");
            }

            foreach ((int id, double probability) in length == LlamaCppRecording.Prompt.Length ? top : [])
            {
                Assert.That(probability, Is.EqualTo(expected[^1][id]).Within(tolerance), $"token {id}");
            }
        });
    }
}

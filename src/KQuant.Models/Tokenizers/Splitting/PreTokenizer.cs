
namespace KQuant.Models.Tokenizers;

/// <summary>A step that cuts a text into the pieces within which tokens are formed. Steps are chained: each cuts the pieces of the one before.</summary>
internal abstract class PreTokenizer
{
    /// <summary>Cuts a piece.</summary>
    /// <param name="piece">Valid UTF-8.</param>
    /// <param name="next">Takes the pieces, in order.</param>
    public abstract void Split(ReadOnlySpan<byte> piece, PieceSink next);
}

/// <summary>Where a step sends its pieces: to the steps behind it, and in the end to the model.</summary>
/// <param name="steps">All steps.</param>
/// <param name="index">The step that the pieces go to.</param>
/// <param name="state">What belongs to the text that is being encoded.</param>
internal readonly struct PieceSink(PreTokenizer[] steps, int index, EncodeState state)
{
    public EncodeState State => state;

    public void Accept(ReadOnlySpan<byte> piece)
    {
        if (piece.IsEmpty)
        {
            return;
        }

        if (index == steps.Length)
        {
            state.Model.Encode(piece, state.Ids);
            state.Forget();
        }
        else
        {
            steps[index].Split(piece, new PieceSink(steps, index + 1, state));
        }
    }
}

/// <summary>What one call of <see cref="Tokenizer.Encode"/> carries along.</summary>
internal sealed class EncodeState(TokenModel model)
{
    public TokenModel Model => model;

    public IdList Ids { get; } = new();

    /// <summary>Whether only the number of ids matters.</summary>
    public bool IsCounting { get; init; }

    /// <summary>How many there were.</summary>
    public int Count { get; private set; }

    /// <summary>What stands for other characters in the text, or null.</summary>
    public ContentMarks? Marks { get; init; }

    /// <summary>Whether nothing of the text has been cut yet: some tokenizers mark only the first word.</summary>
    public bool IsAtStart { get; set; } = true;

    /// <summary>Ids are not kept when they are only counted.</summary>
    public void Forget()
    {
        if (IsCounting)
        {
            Count = checked(Count + Ids.Count);
            Ids.Clear();
        }
    }
}

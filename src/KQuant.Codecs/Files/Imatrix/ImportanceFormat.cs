namespace KQuant.Codecs.Files;

/// <summary>The file formats of importance matrices.</summary>
public enum ImportanceFormat
{
    /// <summary>
    /// A GGUF file as llama.cpp writes it: for each weight <c>NAME.in_sum2</c> [columns, experts], the sums of squared activations, and
    /// <c>NAME.counts</c> [1, experts], the tokens that were summed.
    /// </summary>
    Gguf,

    /// <summary>
    /// llama.cpp's older <c>.dat</c>: for each weight the number of calls and the mean of the squared activations times that number; at the
    /// end the number of chunks and the name of the data set.
    /// </summary>
    Legacy,

    /// <summary>
    /// The <c>.dat</c> of mlx-kquant: the same layout, but the values are the means as they stand beside the number of tokens, and nothing
    /// follows the last entry, by which it is told apart. Files that llama.cpp wrote before it had an end are read alike; their values are
    /// then larger by a constant for each weight, which no encoder notices.
    /// </summary>
    LegacyMeans,
}

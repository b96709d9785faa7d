namespace KQuant.Codecs.Files;

/// <summary>What downloads leave in the place of weights.</summary>
internal static class ForeignContent
{
    private const int Shown = 64;

    /// <summary>What the file is instead of weights, or null.</summary>
    public static string? Describe(MappedFile file)
    {
        ReadOnlySpan<byte> start = file.UnsafeBytes(0, (int)Math.Min(file.Length, Shown)).TrimStart(" \t\r\n\uFEFF"u8);
        if (start.StartsWith("version https://git-lfs"u8))
        {
            return "the file is a pointer of Git LFS in place of the weights; 'git lfs pull' fetches them";
        }

        return start.StartsWith("<!doctype"u8) || start.StartsWith("<!DOCTYPE"u8) || start.StartsWith("<html"u8) || start.StartsWith("<HTML"u8)
            || start.StartsWith("<?xml"u8)
            ? "the file is a web page in place of the weights, as a download without permission leaves it"
            : null;
    }
}

using System.Text;

namespace KQuant.Models.Tokenizers;

/// <summary>Unicode normalization of UTF-8, in time that does not depend on what the text is (Unicode Standard Annex 15).</summary>
internal sealed class UnicodeNormalizer(UnicodeForm form) : Normalizer
{
    public override bool TryNormalize(ReadOnlySpan<byte> text, ByteBuffer result)
    {
        if (IsStable(text))
        {
            return false;
        }

        NormalizationData data = NormalizationData.Instance;
        var points = new List<int>(text.Length);
        for (int at = 0; at < text.Length;)
        {
            Decompose(data, ValidUtf8.CodePointAt(text, at, out int length), points);
            at += length;
        }

        Order(data, points);
        if (form is UnicodeForm.Nfc or UnicodeForm.Nfkc)
        {
            Compose(data, points);
        }

        Span<byte> bytes = stackalloc byte[4];
        foreach (int point in points)
        {
            result.Add(bytes[..new Rune(point).EncodeToUtf8(bytes)]);
        }

        return true;
    }

    /// <summary>Sorts each run of combining marks by class, marks of one class as they were.</summary>
    private static void Order(NormalizationData data, List<int> points)
    {
        var run = new List<(int Class, int Place, int Point)>();
        for (int at = 0; at < points.Count;)
        {
            run.Clear();
            int end = at;
            bool ordered = true;
            for (int value; end < points.Count && (value = data.CombiningClass(points[end])) != 0; end++)
            {
                ordered &= run.Count == 0 || run[^1].Class <= value;
                run.Add((value, end, points[end]));
            }

            if (!ordered)
            {
                run.Sort();
                for (int i = 0; i < run.Count; i++)
                {
                    points[at + i] = run[i].Point;
                }
            }

            at = Math.Max(end, at + 1);
        }
    }

    private static void Compose(NormalizationData data, List<int> points)
    {
        int starter = -1, written = 0, previousClass = -1;
        for (int i = 0; i < points.Count; i++)
        {
            int point = points[i], combiningClass = data.CombiningClass(point);
            if (starter >= 0 && previousClass < combiningClass && data.Compose(points[starter], point) is >= 0 and int composed)
            {
                points[starter] = composed;
                continue;
            }

            if (combiningClass == 0)
            {
                // Nothing stands between a starter and the next, so the two may be joined: -1 is less than class 0.
                (starter, previousClass) = (written, -1);
            }
            else
            {
                previousClass = combiningClass;
            }

            points[written++] = point;
        }

        points.RemoveRange(written, points.Count - written);
    }

    private bool IsStable(ReadOnlySpan<byte> text)
    {
        if (form != UnicodeForm.Nfc)
        {
            return text.IndexOfAnyInRange((byte)0x80, (byte)0xFF) < 0;
        }

        // Everything below U+0300 is in NFC; that code point begins with the byte CC.
        int at = text.IndexOfAnyInRange((byte)0xCC, (byte)0xFF);
        if (at < 0)
        {
            return true;
        }

        NormalizationData data = NormalizationData.Instance;
        while (at < text.Length)
        {
            if (text[at] < 0x80)
            {
                at++;
                continue;
            }

            if (data.IsUnstable(ValidUtf8.CodePointAt(text, at, out int length)))
            {
                return false;
            }

            at += length;
        }

        return true;
    }

    private void Decompose(NormalizationData data, int point, List<int> result)
    {
        if (point < 0x80)
        {
            result.Add(point);
            return;
        }

        int syllable = point - NormalizationData.HangulBase;
        if ((uint)syllable < NormalizationData.HangulCount)
        {
            result.Add(NormalizationData.LeadBase + (syllable / (NormalizationData.VowelCount * NormalizationData.TrailCount)));
            result.Add(NormalizationData.VowelBase
                + (syllable % (NormalizationData.VowelCount * NormalizationData.TrailCount) / NormalizationData.TrailCount));
            if (syllable % NormalizationData.TrailCount is not 0 and int trail)
            {
                result.Add(NormalizationData.TrailBase + trail);
            }

            return;
        }

        if (data.Decompose(point, form is UnicodeForm.Nfkc or UnicodeForm.Nfkd) is not { } parts)
        {
            result.Add(point);
            return;
        }

        foreach (int part in parts)
        {
            Decompose(data, part, result);
        }
    }
}

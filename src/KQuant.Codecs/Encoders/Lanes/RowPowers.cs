namespace KQuant.Codecs.Encoders.Lanes;

/// <summary>Mean squares of rows, each summed in index order; four rows at once, because every sum waits for itself.</summary>
internal static unsafe class RowPowers
{
    /// <summary>The most rows that are worked on at once.</summary>
    public const int MaxRows = 128;

    /// <summary>Computes the mean squares of all rows of a task.</summary>
    /// <param name="task">At most <see cref="MaxRows"/> rows.</param>
    /// <param name="powers">Receives them.</param>
    public static void Compute(in EncodeTask task, float* powers)
    {
        for (int row = 0; row < task.Rows; row += 4)
        {
            int last = task.Rows - 1;
            float* a = task.Weights + ((nint)row * task.RowLength);
            float* b = task.Weights + ((nint)Math.Min(row + 1, last) * task.RowLength);
            float* c = task.Weights + ((nint)Math.Min(row + 2, last) * task.RowLength);
            float* d = task.Weights + ((nint)Math.Min(row + 3, last) * task.RowLength);
            float sumA = 0, sumB = 0, sumC = 0, sumD = 0;
            for (nint i = 0; i < task.RowLength; i++)
            {
                sumA += a[i] * a[i];
                sumB += b[i] * b[i];
                sumC += c[i] * c[i];
                sumD += d[i] * d[i];
            }

            powers[row] = sumA / task.RowLength;
            powers[Math.Min(row + 1, last)] = sumB / task.RowLength;
            powers[Math.Min(row + 2, last)] = sumC / task.RowLength;
            powers[Math.Min(row + 3, last)] = sumD / task.RowLength;
        }
    }
}

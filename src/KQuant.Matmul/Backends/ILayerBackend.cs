using KQuant.Codecs;

namespace KQuant.Matmul.Backends;

/// <summary>
/// A backend that also does what lies between the products of a decoder, so that a token is one submission. Operations are queued as products
/// are, run in order, and take the results of earlier ones; <see cref="ManagedBackend"/> does each at once and is the reference, bit for bit.
/// All values are float32; rows lie one after the other at the beginning of a buffer.
/// </summary>
internal interface ILayerBackend
{
    /// <inheritdoc cref="MatmulBackend.Allocate"/>
    BackendBuffer Allocate(int length);

    /// <inheritdoc cref="MatmulBackend.Upload"/>
    BackendWeights Upload(QuantizedTensor weights);

    /// <inheritdoc cref="MatmulBackend.Multiply(BackendWeights, BackendBuffer, int, BackendBuffer)"/>
    void Multiply(BackendWeights weights, BackendBuffer x, int rows, BackendBuffer y);

    /// <inheritdoc cref="MatmulBackend.Synchronize"/>
    void Synchronize();

    /// <summary><c>y += addend</c> for every row.</summary>
    /// <param name="y">[rows][width].</param>
    /// <param name="addend">[width].</param>
    /// <param name="rows">Rows.</param>
    /// <param name="width">Values of a row.</param>
    void AddRow(BackendBuffer y, BackendBuffer addend, int rows, int width);

    /// <summary>
    /// <c>stream += added</c>, where that is normalized first if there are weights for it; then <c>target = norm(stream)</c>. A norm is
    /// <c>x / sqrt(mean(x^2) + e) * weights</c>.
    /// </summary>
    /// <param name="stream">[rows][width].</param>
    /// <param name="added">As many values; null for none.</param>
    /// <param name="addedWeights">[width]; null to add as it is.</param>
    /// <param name="weights">[width].</param>
    /// <param name="target">[rows][width].</param>
    /// <param name="shape">Rows, width and e.</param>
    void Norm(BackendBuffer stream, BackendBuffer? added, BackendBuffer? addedWeights, BackendBuffer weights, BackendBuffer target, in NormShape shape);

    /// <summary><c>gate = gate / (1 + e^-gate) * up</c>.</summary>
    /// <param name="gate">Values.</param>
    /// <param name="up">As many.</param>
    /// <param name="count">How many.</param>
    void GateBySilu(BackendBuffer gate, BackendBuffer up, int count);

    /// <summary>
    /// What happens to queries, keys and values before attention: heads are normalized, if there are weights, and rotated; keys and values
    /// go to the cache.
    /// </summary>
    /// <param name="queries">[rows][heads][size], changed in place.</param>
    /// <param name="keys">[rows][key heads][size].</param>
    /// <param name="values">As many.</param>
    /// <param name="norms">[2][size], of queries and of keys; null for none.</param>
    /// <param name="angles">Cosines and sines, [rows][2][rotated / 2].</param>
    /// <param name="cache">Where keys and values are kept.</param>
    /// <param name="shape">The sizes.</param>
    /// <param name="rows">The rows of one text, and what they see.</param>
    void PrepareHeads(
        BackendBuffer queries, BackendBuffer keys, BackendBuffer values, BackendBuffer? norms, BackendBuffer angles, in BackendCache cache,
        in HeadShape shape, ReadOnlySpan<AttentionRow> rows);

    /// <summary>Softmax attention of rows over a cache.</summary>
    /// <param name="queries">[rows][heads][size].</param>
    /// <param name="cache">Keys and values.</param>
    /// <param name="outputs">[rows][heads][size].</param>
    /// <param name="shape">The sizes.</param>
    /// <param name="rows">The rows of one text, and what they see.</param>
    void Attend(BackendBuffer queries, in BackendCache cache, BackendBuffer outputs, in HeadShape shape, ReadOnlySpan<AttentionRow> rows);

    /// <summary>The best experts of every row, best first, by the softmax of their scores, and their weights.</summary>
    /// <param name="scores">[rows][experts]; lost.</param>
    /// <param name="ids">[rows][chosen], as 32-bit integers.</param>
    /// <param name="weights">[rows][chosen].</param>
    /// <param name="shape">The sizes.</param>
    void Route(BackendBuffer scores, BackendBuffer ids, BackendBuffer weights, in RouteShape shape);

    /// <summary><c>y[p] = x[p / perRow] W[ids[p]]^T</c>, with experts that <see cref="Route"/> chose.</summary>
    /// <param name="experts">W, [E, N, K].</param>
    /// <param name="x">[pairs / perRow][K].</param>
    /// <param name="ids">[pairs].</param>
    /// <param name="pairs">Results.</param>
    /// <param name="perRow">Consecutive results with the same row of x.</param>
    /// <param name="y">[pairs][N].</param>
    void GatherMultiply(BackendWeights experts, BackendBuffer x, BackendBuffer ids, int pairs, int perRow, BackendBuffer y);

    /// <summary><c>target[r] = sum over k of x[r, k] * weights[r, k]</c>, k ascending, by fused multiply-adds after the first product.</summary>
    /// <param name="x">[rows][perRow][width].</param>
    /// <param name="weights">[rows][perRow].</param>
    /// <param name="target">[rows][width].</param>
    /// <param name="rows">Rows.</param>
    /// <param name="perRow">Summands.</param>
    /// <param name="width">Values of a row.</param>
    void AddWeighted(BackendBuffer x, BackendBuffer weights, BackendBuffer target, int rows, int perRow, int width);
}

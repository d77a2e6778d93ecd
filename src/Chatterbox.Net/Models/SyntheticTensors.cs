using System.Reflection;
using System.Runtime.Intrinsics;
using System.Text;
using System.Text.Json;

namespace Chatterbox.Models;

/// <summary>How one synthetic tensor is filled: <c>offset + scale · r</c>, with r in [−1, 1) by <see cref="SyntheticTensors"/>'s
/// rule.</summary>
internal sealed record SyntheticTensor(TensorInfo Info, float Offset, float Scale);

/// <summary>
/// A full-size checkpoint file whose every tensor is a function of its name: what tests, tries and benchmarks use where
/// the real weights are not at hand.
/// </summary>
/// <remarks>
/// seed = FNV-1a 64 of the name's UTF-8 bytes; z(i) = splitmix64's finaliser of seed + (i + 1)·0x9E3779B97F4A7C15;
/// r(i) = 2·(z(i) &gt;&gt; 40)·2⁻²⁴ − 1, exact in float32; value = offset + scale·r in two float32 roundings.
/// Integer tensors hold the offset. The same bits come out in any language.
/// </remarks>
internal sealed class SyntheticTensors : ITensorSource
{
    private const int Piece = 1 << 20;
    private const ulong Increment = 0x9E3779B97F4A7C15;
    private const float Unit = 1f / (1 << 24);

    private readonly IReadOnlyDictionary<string, SyntheticTensor> _tensors;

    /// <param name="name">Name for error messages.</param>
    /// <param name="tensors">What the file holds.</param>
    public SyntheticTensors(string name, IReadOnlyDictionary<string, SyntheticTensor> tensors)
    {
        Name = name;
        _tensors = tensors;
        Tensors = tensors.ToDictionary(t => t.Key, t => t.Value.Info);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, TensorInfo> Tensors { get; }

    /// <summary>How a tensor is filled.</summary>
    public SyntheticTensor this[string name] => _tensors[name];

    /// <summary>A file of the family at its full size, in the file's own order of tensors.</summary>
    /// <param name="file">Name without extension: ve, t3_cfg, t3_mtl23ls_v2, t3_turbo_v1, t3_nano_v1, t3_flash, s3gen, s3gen_meanflow or
    /// perth_net.</param>
    public static SyntheticTensors FullSize(string file)
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream("Chatterbox.Models.synthetic-manifest.json")!;
        using var manifest = JsonDocument.Parse(stream);
        var tensors = new Dictionary<string, SyntheticTensor>();
        foreach (var entry in manifest.RootElement.GetProperty(file).EnumerateArray())
        {
            var dtype = entry[1].GetString() == "I64" ? ScalarType.Int64 : ScalarType.Float32;
            var shape = entry[2].EnumerateArray().Select(d => d.GetInt64()).ToArray();
            tensors.Add(entry[0].GetString()!, new(new(dtype, shape), (float)entry[3].GetDouble(), (float)entry[4].GetDouble()));
        }

        return new SyntheticTensors($"synthetic {file}", tensors);
    }

    /// <inheritdoc/>
    public Tensor Read(string name)
    {
        var (info, offset, scale) = _tensors[name];
        if (info.DType == ScalarType.Int64)
        {
            return empty(info.Shape, ScalarType.Int64).Fill((long)offset).DetachFromDisposeScope();
        }

        var tensor = empty(info.Shape, ScalarType.Float32).DetachFromDisposeScope();
        Fill(tensor, Seed(name), offset, scale);
        return tensor;
    }

    /// <inheritdoc/>
    void ITensorSource.ReadTo(string name, Tensor target)
    {
        if (target.device_type == DeviceType.CPU && target.dtype == ScalarType.Float32)
        {
            var (_, offset, scale) = _tensors[name];
            Fill(target, Seed(name), offset, scale);
            return;
        }

        using var tensor = Read(name);
        target.copy_(tensor);
    }

    /// <inheritdoc/>
    public void Dispose() { }

    private static ulong Seed(string name) =>
        Encoding.UTF8.GetBytes(name).Aggregate(0xCBF29CE484222325, (hash, b) => unchecked((hash ^ b) * 0x100000001B3));

    private static unsafe void Fill(Tensor tensor, ulong seed, float offset, float scale)
    {
        var count = tensor.NumberOfElements;
        fixed (byte* bytes = tensor.bytes)
        {
            var target = (float*)bytes;
            Parallel.For(
                0,
                (count + Piece - 1) / Piece,
                piece =>
                {
                    var start = piece * Piece;
                    FillPiece(
                        target + start,
                        (int)Math.Min(Piece, count - start),
                        unchecked(seed + ((ulong)start * Increment)),
                        offset,
                        scale
                    );
                }
            );
        }
    }

    private static unsafe void FillPiece(float* target, int count, ulong seed, float offset, float scale)
    {
        var steps = Vector512.Create(1UL, 2, 3, 4, 5, 6, 7, 8) * Increment;
        var state = Vector512.Create(seed) + steps;
        var step = Vector512.Create(unchecked(8 * Increment));
        var done = 0;
        for (; done + 8 <= count; done += 8, state += step)
        {
            var z = state;
            z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >>> 27)) * 0x94D049BB133111EB;
            z ^= z >>> 31;
            var u = Vector256.ConvertToSingle(Vector512.Narrow(z >>> 40, Vector512<ulong>.Zero).GetLower().AsInt32());
            ((u * Unit * 2f - Vector256<float>.One) * scale + Vector256.Create(offset)).Store(target + done);
        }

        for (; done < count; done++)
        {
            var z = unchecked(seed + ((ulong)(done + 1) * Increment));
            z = unchecked((z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9);
            z = unchecked((z ^ (z >>> 27)) * 0x94D049BB133111EB);
            z ^= z >>> 31;
            var r = ((z >>> 40) * Unit * 2f) - 1f;
            target[done] = offset + (scale * r);
        }
    }
}

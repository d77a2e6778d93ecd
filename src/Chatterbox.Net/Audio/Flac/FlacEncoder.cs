using System.Buffers;
using System.Buffers.Binary;
using System.Numerics;
using System.Security.Cryptography;

namespace Chatterbox.Audio.Flac;

/// <summary>Encodes 16-bit FLAC as a stream: frames of 48 ms, each with the best of the fixed predictors.</summary>
/// <remarks>Source: RFC 9639. The header declares neither length nor MD5 sum until the file is complete; each frame has its
/// checksums.</remarks>
internal sealed class FlacEncoder : IAudioEncoder
{
    private const int Bits = 16;
    private const int MostOrder = 4;
    private const int MostPartitionOrder = 4;
    private const int MostParameter = 14;
    private const int LengthPlace = 22; // in the file; the four bits before it are not used
    private const int Md5Place = 26;

    private readonly int _sampleRate;
    private readonly int[] _block;
    private readonly int[][] _residuals; // by order
    private readonly FlacFrameBits _bits = new();
    private readonly IncrementalHash? _md5; // of a whole file
    private readonly byte[] _pcm;
    private int _filled;
    private int _frames;
    private uint _length;
    private bool _isBegun;

    /// <param name="sampleRate">Samples a second (Hz).</param>
    /// <param name="isWhole">Whether the file will be completed.</param>
    public FlacEncoder(int sampleRate, bool isWhole = false)
    {
        _sampleRate = sampleRate;
        _block = new int[sampleRate * 48 / 1000];
        _pcm = new byte[_block.Length * Pcm16.BytesPerSample];
        _md5 = isWhole ? IncrementalHash.CreateHash(HashAlgorithmName.MD5) : null;
        _residuals = [.. Enumerable.Range(0, MostOrder + 1).Select(_ => new int[_block.Length])];
    }

    /// <inheritdoc/>
    public void Encode(ReadOnlySpan<float> samples, IBufferWriter<byte> output)
    {
        Begin(output);
        foreach (var sample in samples)
        {
            _block[_filled++] = Pcm16.FromFloat(sample);
            if (_filled == _block.Length)
            {
                WriteFrame(output);
            }
        }
    }

    /// <inheritdoc/>
    public void Finish(IBufferWriter<byte> output)
    {
        Begin(output);
        if (_filled > 0)
        {
            WriteFrame(output);
        }
    }

    /// <inheritdoc/>
    public void Complete(Span<byte> head, long fileBytes)
    {
        BinaryPrimitives.WriteUInt32BigEndian(head[LengthPlace..], _length);
        _md5?.GetCurrentHash(head[Md5Place..]);
    }

    /// <inheritdoc/>
    public void Dispose() => _md5?.Dispose();

    private void Begin(IBufferWriter<byte> output)
    {
        if (_isBegun)
        {
            return;
        }

        _isBegun = true;
        _bits.Begin();
        _bits.Write(0x664C6143, 32); // fLaC
        _bits.Write(0x80, 8); // the last block of metadata, and the stream's
        _bits.Write(34, 24);
        _bits.Write((uint)_block.Length, 16);
        _bits.Write((uint)_block.Length, 16);
        _bits.Write(0, 24); // sizes of frames: not known
        _bits.Write(0, 24);
        _bits.Write((uint)_sampleRate, 20);
        _bits.Write(0, 3); // one channel
        _bits.Write(Bits - 1, 5);
        _bits.Write(0, 4); // length: not known
        _bits.Write(0, 32);
        for (var i = 0; i < 4; i++)
        {
            _bits.Write(0, 32); // MD5: not known
        }

        output.Write(_bits.Bytes);
    }

    private void WriteFrame(IBufferWriter<byte> output)
    {
        _bits.Begin();
        _bits.Write(0b11111111111110, 14);
        _bits.Write(0, 2); // blocks of one size, but for the last
        _bits.Write(7, 4); // whose size stands below, in 16 bits
        _bits.Write(0, 4); // rate and depth as in the header
        _bits.Write(0, 4);
        _bits.Write(0, 3);
        _bits.Write(0, 1);
        WriteNumber(_frames++);
        _bits.Write((uint)_filled - 1, 16);
        _bits.Write(_bits.Crc8(), 8);
        WriteSubframe(_block.AsSpan(0, _filled));
        Count(_block.AsSpan(0, _filled));
        _bits.Align();
        _bits.Write(_bits.Crc16(), 16);
        output.Write(_bits.Bytes);
        _filled = 0;
    }

    private void Count(ReadOnlySpan<int> samples)
    {
        _length += (uint)samples.Length;
        if (_md5 is null)
        {
            return;
        }

        for (var i = 0; i < samples.Length; i++)
        {
            BinaryPrimitives.WriteInt16LittleEndian(_pcm.AsSpan(i * Pcm16.BytesPerSample), (short)samples[i]);
        }

        _md5.AppendData(_pcm.AsSpan(0, samples.Length * Pcm16.BytesPerSample));
    }

    // As UTF-8 codes characters, in up to six bytes.
    private void WriteNumber(int number)
    {
        if (number < 0x80)
        {
            _bits.Write((uint)number, 8);
            return;
        }

        var more = (BitOperations.Log2((uint)number) - 1) / 5;
        _bits.Write((uint)((0xFF00 >> (more + 1)) & 0xFF | (number >> (6 * more))), 8);
        for (var i = more - 1; i >= 0; i--)
        {
            _bits.Write((uint)(0x80 | ((number >> (6 * i)) & 0x3F)), 8);
        }
    }

    private void WriteSubframe(ReadOnlySpan<int> samples)
    {
        if (samples.IndexOfAnyExcept(samples[0]) < 0)
        {
            _bits.Write(0, 8); // all samples are this one
            _bits.WriteSigned(samples[0], Bits);
            return;
        }

        var order = BestOrder(samples);
        _bits.Write((uint)(8 + order) << 1, 8);
        foreach (var sample in samples[..order])
        {
            _bits.WriteSigned(sample, Bits);
        }

        WriteResidual(_residuals[order].AsSpan(0, samples.Length), order);
    }

    // Order n predicts by the polynomial through the last n samples: its residual is the n-th difference.
    private int BestOrder(ReadOnlySpan<int> samples)
    {
        var (best, smallest) = (0, long.MaxValue);
        samples.CopyTo(_residuals[0]);
        for (var order = 0; order <= Math.Min(MostOrder, samples.Length - 1); order++)
        {
            var sum = 0L;
            for (var i = order; i < samples.Length; i++)
            {
                if (order > 0)
                {
                    _residuals[order][i] = _residuals[order - 1][i] - _residuals[order - 1][i - 1];
                }

                sum += Math.Abs(_residuals[order][i]);
            }

            (best, smallest) = sum < smallest ? (order, sum) : (best, smallest);
        }

        return best;
    }

    private void WriteResidual(ReadOnlySpan<int> residual, int order)
    {
        var (partitionOrder, fewest) = (0, long.MaxValue);
        for (
            var tried = 0;
            tried <= MostPartitionOrder && residual.Length % (1 << tried) == 0 && residual.Length >> tried > MostOrder;
            tried++
        )
        {
            var bits = 0L;
            for (var partition = 0; partition < 1 << tried; partition++)
            {
                bits += 4 + Best(Partition(residual, order, tried, partition)).Bits;
            }

            (partitionOrder, fewest) = bits < fewest ? (tried, bits) : (partitionOrder, fewest);
        }

        _bits.Write(0, 2); // parameters of four bits
        _bits.Write((uint)partitionOrder, 4);
        for (var partition = 0; partition < 1 << partitionOrder; partition++)
        {
            var part = Partition(residual, order, partitionOrder, partition);
            var parameter = Best(part).Parameter;
            _bits.Write((uint)parameter, 4);
            foreach (var value in part)
            {
                var folded = (uint)((value << 1) ^ (value >> 31));
                _bits.WriteUnary((int)(folded >> parameter));
                _bits.Write(folded & ((1u << parameter) - 1), parameter);
            }
        }
    }

    private static ReadOnlySpan<int> Partition(ReadOnlySpan<int> residual, int order, int partitionOrder, int partition)
    {
        var size = residual.Length >> partitionOrder;
        return residual[(partition == 0 ? order : partition * size)..((partition + 1) * size)];
    }

    // Rice's code is best where 2^parameter is about the mean: one more or less may be better by some bits.
    private static (int Parameter, long Bits) Best(ReadOnlySpan<int> part)
    {
        var sum = 0L;
        foreach (var value in part)
        {
            sum += (uint)((value << 1) ^ (value >> 31));
        }

        var near = part.Length == 0 ? 0 : Math.Min(MostParameter, BitOperations.Log2((uint)(sum / part.Length) | 1));
        var best = (Parameter: 0, Bits: long.MaxValue);
        for (var parameter = Math.Max(0, near - 1); parameter <= Math.Min(MostParameter, near + 1); parameter++)
        {
            var bits = (long)part.Length * (parameter + 1);
            foreach (var value in part)
            {
                bits += (uint)((value << 1) ^ (value >> 31)) >> parameter;
            }

            best = bits < best.Bits ? (parameter, bits) : best;
        }

        return best;
    }
}

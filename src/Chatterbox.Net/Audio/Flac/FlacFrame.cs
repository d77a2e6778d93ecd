namespace Chatterbox.Audio.Flac;

/// <summary>Decodes one frame after another: up to 65535 samples of each channel.</summary>
/// <remarks>Source: RFC 9639, section 9.</remarks>
/// <param name="bits">The bits from the first frame on.</param>
/// <param name="source">What the recording is called.</param>
internal sealed class FlacFrame(FlacBits bits, RecordingSource source)
{
    private const int LeftSide = 8;
    private const int SideRight = 9;
    private const int MidSide = 10;
    private const int HighestOrder = 32;

    private static readonly int[][] FixedCoefficients =
    [
        [],
        [1],
        [2, -1],
        [3, -3, 1],
        [4, -6, 4, -1],
    ];

    private long[][] _channels = [];
    private long _frames;

    /// <summary>Samples in each channel.</summary>
    public int Length { get; private set; }

    /// <summary>Whether the file ended within a frame.</summary>
    public bool WasCutShort { get; private set; }

    /// <summary>One channel's samples.</summary>
    public ReadOnlySpan<long> Channel(int index) => _channels[index].AsSpan(0, Length);

    /// <summary>Decodes the next frame.</summary>
    /// <param name="sync">What a frame begins with, 14 bits.</param>
    /// <param name="sampleRate">The stream's rate (Hz), which its frames must have.</param>
    /// <param name="channels">The stream's channels.</param>
    /// <param name="bitDepth">The stream's bits of a sample.</param>
    /// <returns>False at the end of the file.</returns>
    /// <exception cref="VoiceException">The frame is damaged.</exception>
    public bool TryRead(int sync, int sampleRate, int channels, int bitDepth)
    {
        bits.BeginFrame();
        var first = bits.ReadByteOrEnd();
        if (first < 0)
        {
            return false;
        }

        try
        {
            if (((first << 6) | (int)bits.Read(6)) != sync)
            {
                throw Damaged("does not begin as a frame does");
            }

            Read(sampleRate, channels, bitDepth);
            _frames++;
            return true;
        }
        catch (EndOfStreamException)
        {
            WasCutShort = true;
            return false;
        }
    }

    private void Read(int sampleRate, int channels, int bitDepth)
    {
        bits.Read(2); // reserved, and whether blocks vary in size
        var sizeCode = (int)bits.Read(4);
        var rateCode = (int)bits.Read(4);
        var assignment = (int)bits.Read(4);
        var depthCode = (int)bits.Read(3);
        bits.Read(1);
        SkipNumber();
        Length = ReadLength(sizeCode);
        var rate = ReadRate(rateCode) ?? sampleRate;
        var header = bits.Crc8;
        if (bits.Read(8) != header)
        {
            throw Damaged("has a header whose checksum (CRC-8) is wrong");
        }

        var depth = depthCode switch
        {
            0 => bitDepth,
            1 => 8,
            2 => 12,
            4 => 16,
            5 => 20,
            6 => 24,
            7 => 32,
            _ => 0,
        };
        var count = assignment < LeftSide ? assignment + 1 : 2;
        if (rate != sampleRate || depth != bitDepth || count != channels || assignment > MidSide || Length == 0)
        {
            throw Damaged(
                $"has {count} channels of {depth} bits at {rate} Hz, expected {channels} of {bitDepth} at {sampleRate} as in the "
                    + $"stream's header"
            );
        }

        Reserve(channels);
        for (var channel = 0; channel < channels; channel++)
        {
            var isSide = (assignment == SideRight && channel == 0) || (assignment is LeftSide or MidSide && channel == 1);
            ReadSubframe(_channels[channel].AsSpan(0, Length), isSide ? bitDepth + 1 : bitDepth);
        }

        bits.Align();
        var checksum = bits.Crc16;
        if (bits.Read(16) != checksum)
        {
            throw Damaged("has a wrong checksum (CRC-16)");
        }

        Decorrelate(assignment);
    }

    private void Decorrelate(int assignment)
    {
        if (assignment < LeftSide)
        {
            return;
        }

        var (a, b) = (_channels[0], _channels[1]);
        for (var i = 0; i < Length; i++)
        {
            var middle = (a[i] << 1) | (b[i] & 1);
            (a[i], b[i]) = assignment switch
            {
                LeftSide => (a[i], a[i] - b[i]),
                SideRight => (a[i] + b[i], b[i]),
                _ => ((middle + b[i]) >> 1, (middle - b[i]) >> 1),
            };
        }
    }

    private void ReadSubframe(Span<long> samples, int depth)
    {
        if (bits.Read(1) != 0)
        {
            throw Damaged("has a channel that begins with a one, expected zero");
        }

        var type = (int)bits.Read(6);
        var wasted = bits.Read(1) == 1 ? bits.ReadUnary() + 1 : 0;
        depth -= wasted;
        if (depth < 1)
        {
            throw Damaged($"has a channel with {wasted} unused bits, expected fewer than its samples have");
        }

        switch (type)
        {
            case 0:
                samples.Fill(bits.ReadSigned(depth));
                break;
            case 1:
                ReadPlain(samples, depth);
                break;
            case >= 8 and <= 12:
                ReadPlain(Warmup(samples, type - 8), depth);
                ReadResidual(samples, type - 8);
                Predict(samples, FixedCoefficients[type - 8], 0);
                break;
            case >= 32:
                ReadLinear(samples, type - 31, depth);
                break;
            default:
                throw Damaged($"has a channel of the unknown type {type}");
        }

        if (wasted > 0)
        {
            foreach (ref var sample in samples)
            {
                sample <<= wasted;
            }
        }
    }

    private void ReadLinear(Span<long> samples, int order, int depth)
    {
        ReadPlain(Warmup(samples, order), depth);
        var precision = (int)bits.Read(4) + 1;
        var shift = (int)bits.ReadSigned(5);
        if (precision == 16 || shift < 0)
        {
            throw Damaged($"has predictors of {precision} bits shifted by {shift}, expected 1 to 15 bits and no negative shift");
        }

        Span<int> coefficients = stackalloc int[HighestOrder];
        for (var i = 0; i < order; i++)
        {
            coefficients[i] = (int)bits.ReadSigned(precision);
        }

        ReadResidual(samples, order);
        Predict(samples, coefficients[..order], shift);
    }

    // The residual stands where the samples will: each is what the prediction lacks.
    private static void Predict(Span<long> samples, ReadOnlySpan<int> coefficients, int shift)
    {
        for (var i = coefficients.Length; i < samples.Length; i++)
        {
            var sum = 0L;
            for (var j = 0; j < coefficients.Length; j++)
            {
                sum += coefficients[j] * samples[i - 1 - j];
            }

            samples[i] += sum >> shift;
        }
    }

    private void ReadResidual(Span<long> samples, int order)
    {
        var method = (int)bits.Read(2);
        var partitions = 1 << (int)bits.Read(4);
        var size = samples.Length / partitions;
        if (method > 1 || size * partitions != samples.Length || size < order)
        {
            throw Damaged(
                $"has {partitions} partitions of method {method} for {samples.Length} samples, expected equal parts and method 0 or 1"
            );
        }

        var parameterBits = method == 0 ? 4 : 5;
        var escape = (1 << parameterBits) - 1;
        for (var partition = 0; partition < partitions; partition++)
        {
            var part = samples[(partition == 0 ? order : partition * size)..((partition + 1) * size)];
            var parameter = (int)bits.Read(parameterBits);
            if (parameter == escape)
            {
                ReadEscaped(part, (int)bits.Read(5));
                continue;
            }

            foreach (ref var sample in part)
            {
                var folded = ((long)bits.ReadUnary() << parameter) | bits.Read(parameter);
                sample = (folded >> 1) ^ -(folded & 1);
            }
        }
    }

    private void ReadEscaped(Span<long> part, int depth)
    {
        if (depth == 0)
        {
            part.Clear();
        }
        else
        {
            ReadPlain(part, depth);
        }
    }

    private void ReadPlain(Span<long> samples, int depth)
    {
        foreach (ref var sample in samples)
        {
            sample = bits.ReadSigned(depth);
        }
    }

    private Span<long> Warmup(Span<long> samples, int order) =>
        order <= samples.Length
            ? samples[..order]
            : throw Damaged($"has {samples.Length} samples, expected at least {order} for its predictor");

    private void Reserve(int channels)
    {
        if (_channels.Length < channels || _channels[0].Length < Length)
        {
            _channels = [.. Enumerable.Range(0, channels).Select(_ => new long[Length])];
        }
    }

    private int ReadLength(int code) =>
        code switch
        {
            1 => 192,
            >= 2 and <= 5 => 144 << code,
            6 => (int)bits.Read(8) + 1,
            7 => (int)bits.Read(16) + 1,
            >= 8 => 1 << code,
            _ => 0,
        };

    private int? ReadRate(int code) =>
        code switch
        {
            0 => null,
            1 => 88_200,
            2 => 176_400,
            3 => 192_000,
            4 => 8_000,
            5 => 16_000,
            6 => 22_050,
            7 => 24_000,
            8 => 32_000,
            9 => 44_100,
            10 => 48_000,
            11 => 96_000,
            12 => (int)bits.Read(8) * 1000,
            13 => (int)bits.Read(16),
            14 => (int)bits.Read(16) * 10,
            _ => 0,
        };

    // The frame's or its first sample's number, coded as UTF-8 codes characters.
    private void SkipNumber()
    {
        var lead = bits.Read(8);
        var more = lead < 0x80 ? 0 : System.Numerics.BitOperations.LeadingZeroCount(~(lead << 24)) - 1;
        for (var i = 0; i < more; i++)
        {
            bits.Read(8);
        }
    }

    private VoiceException Damaged(string what) => source.IsDamaged($"frame {_frames} {what}");
}

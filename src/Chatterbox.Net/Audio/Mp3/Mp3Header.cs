namespace Chatterbox.Audio.Mp3;

/// <summary>Generations of MPEG audio, by the bits that name them in a header.</summary>
internal enum MpegGeneration
{
    /// <summary>12, 11.025 and 8 kHz: an extension that every decoder knows.</summary>
    Mpeg25 = 0,

    /// <summary>24, 22.05 and 16 kHz (ISO/IEC 13818-3): one granule a frame.</summary>
    Mpeg2 = 2,

    /// <summary>48, 44.1 and 32 kHz (ISO/IEC 11172-3): two granules a frame.</summary>
    Mpeg1 = 3,
}

/// <summary>The four bytes that a frame of MPEG audio, Layer III, begins with.</summary>
/// <param name="Generation">Of which generation it is.</param>
/// <param name="RateIndex">Which of the generation's three sample rates.</param>
/// <param name="BitRate">Bits a second.</param>
/// <param name="IsPadded">Whether the frame has one byte more.</param>
/// <param name="HasChecksum">Whether a CRC-16 follows the header.</param>
/// <param name="ChannelMode">0 stereo, 1 joint stereo, 2 two channels, 3 mono.</param>
/// <param name="ModeExtension">How the channels are joined in joint stereo.</param>
/// <remarks>Source: ISO/IEC 11172-3, 2.4.1.3 and 2.4.2.3; ISO/IEC 13818-3, 2.4.2.3.</remarks>
internal readonly record struct Mp3Header(
    MpegGeneration Generation,
    int RateIndex,
    int BitRate,
    bool IsPadded,
    bool HasChecksum,
    int ChannelMode,
    int ModeExtension
)
{
    /// <summary>Bytes of a header.</summary>
    public const int Bytes = 4;

    /// <summary>Samples of a granule, which is one step of the transform.</summary>
    public const int GranuleSamples = 576;

    /// <summary>Channel mode of one channel.</summary>
    public const int Mono = 3;

    private const int LayerThree = 1;

    private static readonly int[] KilobitsOfMpeg1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    private static readonly int[] KilobitsOfMpeg2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    private static readonly int[] RatesOfMpeg1 = [44_100, 48_000, 32_000];

    /// <summary>Every sample rate there is, Hz.</summary>
    public static IReadOnlyList<int> SampleRates { get; } =
    [.. RatesOfMpeg1, .. RatesOfMpeg1.Select(r => r / 2), .. RatesOfMpeg1.Select(r => r / 4)];

    /// <summary>Samples a second (Hz).</summary>
    public int SampleRate =>
        RatesOfMpeg1[RateIndex]
        >> (
            Generation switch
            {
                MpegGeneration.Mpeg1 => 0,
                MpegGeneration.Mpeg2 => 1,
                _ => 2,
            }
        );

    /// <summary>Channels, one or two.</summary>
    public int Channels => ChannelMode == Mono ? 1 : 2;

    /// <summary>Granules of a frame.</summary>
    public int Granules => Generation == MpegGeneration.Mpeg1 ? 2 : 1;

    /// <summary>Samples of each channel in a frame.</summary>
    public int Samples => Granules * GranuleSamples;

    /// <summary>Bytes of the frame with its header.</summary>
    public int FrameBytes => (Samples / 8 * BitRate / SampleRate) + (IsPadded ? 1 : 0);

    /// <summary>Bytes of the side information.</summary>
    public int SideBytes =>
        (Generation == MpegGeneration.Mpeg1, Channels) switch
        {
            (true, 2) => 32,
            (true, _) or (false, 2) => 17,
            _ => 9,
        };

    /// <summary>The index of the bit rate.</summary>
    public int BitRateIndex => Array.IndexOf(Kilobits(Generation), BitRate / 1000);

    /// <summary>The bit rates (bits a second) that a sample rate can have.</summary>
    public static IEnumerable<int> BitRates(int sampleRate) =>
        Kilobits(Of(sampleRate, 0).Generation).Skip(1).Select(kilobits => kilobits * 1000);

    /// <summary>The header of frames of one channel.</summary>
    /// <param name="sampleRate">One of <see cref="SampleRates"/>.</param>
    /// <param name="bitRate">One of <see cref="BitRates"/>.</param>
    public static Mp3Header Of(int sampleRate, int bitRate)
    {
        var (generation, mpeg1Rate) =
            sampleRate >= 32_000 ? (MpegGeneration.Mpeg1, sampleRate)
            : sampleRate >= 16_000 ? (MpegGeneration.Mpeg2, 2 * sampleRate)
            : (MpegGeneration.Mpeg25, 4 * sampleRate);
        return new Mp3Header(
            generation,
            Array.IndexOf(RatesOfMpeg1, mpeg1Rate),
            bitRate,
            IsPadded: false,
            HasChecksum: false,
            Mono,
            ModeExtension: 0
        );
    }

    /// <summary>Reads a header.</summary>
    /// <param name="bytes">Four bytes or more.</param>
    /// <returns>Null where it is none of Layer III with a fixed bit rate.</returns>
    public static Mp3Header? Read(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < Bytes || bytes[0] != 0xFF || (bytes[1] & 0xE0) != 0xE0 || ((bytes[1] >> 1) & 3) != LayerThree)
        {
            return null;
        }

        var generation = (MpegGeneration)((bytes[1] >> 3) & 3);
        var (bitRateIndex, rateIndex) = (bytes[2] >> 4, (bytes[2] >> 2) & 3);
        return !Enum.IsDefined(generation) || bitRateIndex is 0 or 15 || rateIndex == 3
            ? null
            : new Mp3Header(
                generation,
                rateIndex,
                Kilobits(generation)[bitRateIndex] * 1000,
                IsPadded: (bytes[2] & 2) != 0,
                HasChecksum: (bytes[1] & 1) == 0,
                bytes[3] >> 6,
                (bytes[3] >> 4) & 3
            );
    }

    /// <summary>Writes the header.</summary>
    /// <param name="bytes">Room for four bytes.</param>
    public void Write(Span<byte> bytes)
    {
        bytes[0] = 0xFF;
        bytes[1] = (byte)(0xE0 | ((int)Generation << 3) | (LayerThree << 1) | (HasChecksum ? 0 : 1));
        bytes[2] = (byte)((BitRateIndex << 4) | (RateIndex << 2) | (IsPadded ? 2 : 0));
        bytes[3] = (byte)((ChannelMode << 6) | (ModeExtension << 4) | 4); // 4: an original, as encoders say
    }

    /// <summary>Whether another header can be of the same stream.</summary>
    public bool IsOfSameStream(Mp3Header other) => (Generation, RateIndex, Channels) == (other.Generation, other.RateIndex, other.Channels);

    private static int[] Kilobits(MpegGeneration generation) => generation == MpegGeneration.Mpeg1 ? KilobitsOfMpeg1 : KilobitsOfMpeg2;
}

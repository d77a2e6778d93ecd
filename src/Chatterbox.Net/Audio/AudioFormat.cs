using System.Globalization;

namespace Chatterbox.Audio;

/// <summary>How samples are coded.</summary>
public enum AudioCodec
{
    /// <summary>16-bit integers, little-endian.</summary>
    Pcm16,

    /// <summary>G.711 μ-law.</summary>
    MuLaw,

    /// <summary>G.711 A-law.</summary>
    ALaw,

    /// <summary>MPEG audio, Layer III.</summary>
    Mp3,

    /// <summary>Opus.</summary>
    Opus,

    /// <summary>AAC (low complexity).</summary>
    Aac,

    /// <summary>FLAC, 16 bits.</summary>
    Flac,
}

/// <summary>What coded samples are packed into.</summary>
public enum AudioContainer
{
    /// <summary>Nothing: the codec's own bytes or frames (raw samples, MP3 frames, ADTS frames of AAC, a FLAC stream).</summary>
    None,

    /// <summary>WAV.</summary>
    Wav,

    /// <summary>Ogg.</summary>
    Ogg,
}

/// <summary>A format that one channel of sound is written in.</summary>
/// <param name="Codec">How samples are coded.</param>
/// <param name="Container">What they are packed into.</param>
/// <param name="SampleRate">Samples a second (Hz).</param>
/// <param name="BitRate">Bits a second; null for codecs whose bit rate follows from the sample rate or the sound.</param>
public sealed record AudioFormat(AudioCodec Codec, AudioContainer Container, int SampleRate, int? BitRate = null)
{
    /// <summary>Lowest sample rate (Hz).</summary>
    public const int LowestRate = 8_000;

    /// <summary>Highest sample rate (Hz).</summary>
    public const int HighestRate = 48_000;

    private const int SpeechRate = SpeechResult.SampleRate;

    private static readonly Dictionary<string, AudioFormat> Defaults = new(StringComparer.OrdinalIgnoreCase)
    {
        ["mp3"] = new(AudioCodec.Mp3, AudioContainer.None, SpeechRate, 128_000),
        ["opus"] = new(AudioCodec.Opus, AudioContainer.Ogg, SpeechRate, 64_000),
        ["aac"] = new(AudioCodec.Aac, AudioContainer.None, SpeechRate, 128_000),
        ["flac"] = new(AudioCodec.Flac, AudioContainer.None, SpeechRate),
        ["wav"] = new(AudioCodec.Pcm16, AudioContainer.Wav, SpeechRate),
        ["pcm"] = new(AudioCodec.Pcm16, AudioContainer.None, SpeechRate),
        ["ulaw"] = new(AudioCodec.MuLaw, AudioContainer.None, 8_000), // telephony's rate
        ["alaw"] = new(AudioCodec.ALaw, AudioContainer.None, 8_000),
    };

    /// <summary>The formats that have a name, at the sample rate and bit rate that they have unless others are asked for.</summary>
    public static IReadOnlyDictionary<string, AudioFormat> Named => Defaults;

    /// <summary>Its name: mp3, opus, aac, flac, wav, pcm, ulaw or alaw.</summary>
    public string Name =>
        (Container, Codec) switch
        {
            (AudioContainer.Wav, _) => "wav",
            (_, AudioCodec.Pcm16) => "pcm",
            (_, AudioCodec.MuLaw) => "ulaw",
            (_, AudioCodec.ALaw) => "alaw",
            (_, AudioCodec.Mp3) => "mp3",
            (_, AudioCodec.Opus) => "opus",
            (_, AudioCodec.Aac) => "aac",
            _ => "flac",
        };

    /// <summary>Whether a file of this format begins with its length.</summary>
    public bool HasLength => Container == AudioContainer.Wav;

    /// <summary>Its media type.</summary>
    public string ContentType =>
        (Container, Codec) switch
        {
            (AudioContainer.Wav, _) => "audio/wav",
            (_, AudioCodec.Pcm16) => "audio/pcm",
            (_, AudioCodec.MuLaw) => SampleRate == 8_000 ? "audio/basic" : "audio/PCMU",
            (_, AudioCodec.ALaw) => "audio/PCMA",
            (_, AudioCodec.Mp3) => "audio/mpeg",
            (_, AudioCodec.Opus) => "audio/opus",
            (_, AudioCodec.Aac) => "audio/aac",
            _ => "audio/flac",
        };

    /// <summary>The format of a name.</summary>
    /// <param name="name">One of <see cref="Named"/>, optionally followed by a sample rate (Hz) and a bit rate (kbit/s), as in
    /// <c>mp3_44100_128</c>, <c>opus_48000_64</c> and <c>pcm_16000</c>.</param>
    /// <exception cref="RequestException">There is no such format.</exception>
    public static AudioFormat Parse(string name)
    {
        var parts = name.Split('_');
        var numbers = parts.Skip(1).Select(Number).ToList();
        if (!Defaults.TryGetValue(parts[0], out var format) || numbers.Count > 2 || numbers.Contains(-1))
        {
            throw new RequestException(
                $"There is no audio format '{name}'. Choose one of {string.Join(", ", Defaults.Keys)}, or one with its rates, such as "
                    + "mp3_44100_128 or pcm_16000."
            );
        }

        format = numbers.Count > 0 ? format.At(numbers[0]) : format;
        return numbers.Count > 1 ? format.WithBitRate(numbers[1] * 1000) : format;
    }

    /// <summary>The format of a file name's ending.</summary>
    /// <exception cref="RequestException">There is none.</exception>
    public static AudioFormat OfFile(string fileName) =>
        Path.GetExtension(fileName).ToLowerInvariant() switch
        {
            ".wav" or ".wave" => Defaults["wav"],
            ".mp3" => Defaults["mp3"],
            ".opus" or ".ogg" => Defaults["opus"],
            ".aac" => Defaults["aac"],
            ".flac" => Defaults["flac"],
            ".pcm" or ".raw" => Defaults["pcm"],
            ".ulaw" or ".ul" => Defaults["ulaw"],
            ".alaw" or ".al" => Defaults["alaw"],
            var ending => throw new RequestException(
                $"The ending '{ending}' of the output file names no audio format. Let it end in .wav, .mp3, .opus, .flac or .aac, or "
                    + $"give --format."
            ),
        };

    /// <summary>The same format at another sample rate.</summary>
    /// <param name="sampleRate">Samples a second (Hz).</param>
    /// <exception cref="RequestException">It does not exist at that rate.</exception>
    public AudioFormat At(int sampleRate)
    {
        var (lowest, highest) = (LowestRate, HighestRate);
        if (sampleRate < lowest || sampleRate > highest)
        {
            throw new RequestException($"A sample rate of {sampleRate} Hz is not possible; expected {lowest} to {highest} Hz.");
        }

        var changed = this with { SampleRate = sampleRate };
        return Codec switch
        {
            AudioCodec.Mp3 when !Mp3.Mp3Header.SampleRates.Contains(sampleRate) => throw WrongRate(sampleRate, Mp3.Mp3Header.SampleRates),
            AudioCodec.Mp3 => changed with { BitRate = Mp3.Mp3Header.BitRates(sampleRate).MinBy(rate => Math.Abs(rate - BitRate!.Value)) },
            AudioCodec.Opus when !Ogg.OpusEncoder.SampleRates.Contains(sampleRate) => changed with
            {
                SampleRate = Ogg.OpusEncoder.SampleRates.FirstOrDefault(rate => rate >= sampleRate),
            },
            _ => changed,
        };
    }

    /// <summary>The same format at another bit rate.</summary>
    /// <param name="bitRate">Bits a second.</param>
    /// <exception cref="RequestException">It does not exist at that rate.</exception>
    public AudioFormat WithBitRate(int bitRate) =>
        Codec switch
        {
            AudioCodec.Mp3 when !Mp3.Mp3Header.BitRates(SampleRate).Contains(bitRate) => throw new RequestException(
                $"MP3 at {SampleRate} Hz has no bit rate of {bitRate / 1000} kbit/s; expected "
                    + $"{string.Join(", ", Mp3.Mp3Header.BitRates(SampleRate).Select(rate => rate / 1000))}."
            ),
            AudioCodec.Opus or AudioCodec.Aac when bitRate is < 6_000 or > 256_000 => throw new RequestException(
                $"{Name} has no bit rate of {bitRate / 1000} kbit/s; expected 6 to 256."
            ),
            AudioCodec.Mp3 or AudioCodec.Opus or AudioCodec.Aac => this with { BitRate = bitRate },
            _ => throw new RequestException($"{Name} has no bit rate to choose. Leave it out."),
        };

    private static int Number(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : -1;

    private RequestException WrongRate(int sampleRate, IEnumerable<int> rates) =>
        new($"{Name} has no sample rate of {sampleRate} Hz; expected {string.Join(", ", rates.Order())}.");
}

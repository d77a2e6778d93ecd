using Chatterbox.Audio;

namespace Chatterbox.Tests.Audio;

public class AudioFormatTests
{
    [Theory]
    [InlineData("mp3", AudioCodec.Mp3, 24_000, 128_000)]
    [InlineData("mp3_44100_128", AudioCodec.Mp3, 44_100, 128_000)]
    [InlineData("mp3_22050_32", AudioCodec.Mp3, 22_050, 32_000)]
    [InlineData("opus_48000_64", AudioCodec.Opus, 48_000, 64_000)]
    [InlineData("pcm_16000", AudioCodec.Pcm16, 16_000, null)]
    [InlineData("ulaw_8000", AudioCodec.MuLaw, 8_000, null)]
    [InlineData("alaw", AudioCodec.ALaw, 8_000, null)]
    [InlineData("WAV", AudioCodec.Pcm16, 24_000, null)]
    public void Names_say_codec_and_rates(string name, AudioCodec codec, int sampleRate, int? bitRate)
    {
        var format = AudioFormat.Parse(name);
        Assert.Equal((codec, sampleRate, bitRate), (format.Codec, format.SampleRate, format.BitRate));
    }

    [Theory]
    [InlineData("ogg", "no audio format 'ogg'")]
    [InlineData("mp3_", "no audio format")]
    [InlineData("mp3_44100_128_2", "no audio format")]
    [InlineData("mp3_23000", "no sample rate of 23000 Hz; expected 8000, 11025")]
    [InlineData("mp3_24000_100", "no bit rate of 100 kbit/s; expected 8, 16")]
    [InlineData("pcm_96000", "expected 8000 to 48000")]
    [InlineData("pcm_16000_64", "pcm has no bit rate")]
    public void What_does_not_exist_is_refused_with_what_does(string name, string expected) =>
        Assert.Contains(expected, Assert.Throws<RequestException>(() => AudioFormat.Parse(name)).Message, StringComparison.Ordinal);

    [Fact]
    public void Endings_of_files_are_formats()
    {
        Assert.Equal("mp3", AudioFormat.OfFile("a/b.MP3").Name);
        Assert.Equal("opus", AudioFormat.OfFile("a.ogg").Name);
        Assert.Contains("'.txt'", Assert.Throws<RequestException>(() => AudioFormat.OfFile("a.txt")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(8_000)]
    [InlineData(16_000)]
    [InlineData(22_050)]
    [InlineData(24_000)]
    [InlineData(44_100)]
    [InlineData(48_000)]
    public void Every_format_exists_at_the_usual_rates(int rate)
    {
        foreach (var format in AudioFormat.Named.Values)
        {
            var changed = format.At(rate);
            Assert.True(changed.SampleRate == rate || (changed.Codec == AudioCodec.Opus && changed.SampleRate >= rate));
        }
    }
}

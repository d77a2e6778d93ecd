using Chatterbox.Audio;
using Chatterbox.Audio.Ffmpeg;

namespace Chatterbox.Tests.Audio;

/// <summary>The readers of this process against ffmpeg, and ffmpeg's own limits.</summary>
public sealed class RecordingDecoderTests : IDisposable
{
    private static readonly RecordingDecoder WithoutFfmpeg = new(new FfmpegProgram("/no/such/ffmpeg"));
    private readonly EncodedRecordings _encoded = new();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => _encoded.Dispose();

    [Theory]
    [InlineData("jfk_16k_mono.wav", "flac", "-compression_level 0")]
    [InlineData("jfk_16k_mono.wav", "flac", "-compression_level 12")]
    [InlineData("jfk_44k1_stereo_24bit.flac", "flac", "-c:a flac -lpc_type cholesky -compression_level 8")]
    [InlineData("jfk_44k1_stereo_24bit.flac", "flac", "-c:a flac -sample_fmt s16 -ch_mode mid_side")]
    [InlineData("jfk_16k_mono.wav", "flac", "-ac 6")]
    [InlineData("jfk_16k_mono.wav", "aiff", "-c:a pcm_s16be")]
    [InlineData("jfk_44k1_stereo_24bit.flac", "aiff", "-c:a pcm_s24be")]
    [InlineData("jfk_16k_mono.wav", "aiff", "-c:a pcm_s16le")]
    [InlineData("jfk_16k_mono.wav", "aiff", "-c:a pcm_f32be")]
    [InlineData("jfk_16k_mono.wav", "wav", "-c:a pcm_mulaw")]
    [InlineData("jfk_16k_mono.wav", "wav", "-c:a pcm_alaw")]
    public void Lossless_formats_are_decoded_bit_for_bit(string recording, string extension, string options)
    {
        var path = _encoded.Encode(recording, extension, options);
        var (ours, theirs) = (Load(path), _encoded.Decode(path));
        Assert.Equal(theirs.SampleRate, ours.SampleRate);
        Assert.Equal(theirs.Samples, ours.Samples);
    }

    [Theory]
    [InlineData("jfk_16k_mono.wav", "-ar 11025")]
    [InlineData("jfk_16k_mono.wav", "-ar 16000 -b:a 24k")]
    [InlineData("jfk_16k_mono.wav", "-ar 22050 -q:a 3")]
    [InlineData("jfk_16k_mono.wav", "-ar 24000 -b:a 160k")]
    [InlineData("jfk_16k_mono.wav", "-ar 24000 -b:a 64k -reservoir 0 -write_xing 0")]
    [InlineData("jfk_44k1_stereo_24bit.flac", "-q:a 4")]
    [InlineData("jfk_44k1_stereo_24bit.flac", "-b:a 96k -joint_stereo 1 -metadata comment=spoken")]
    [InlineData("jfk_44k1_stereo_24bit.flac", "-ar 48000 -b:a 320k -joint_stereo 0")]
    public void Mp3_is_as_long_as_ffmpeg_says_and_equal_to_rounding(string recording, string options)
    {
        var path = _encoded.Encode(recording, "mp3", "-c:a libmp3lame " + options);
        Assert.True(SignalToNoise.Of(_encoded.Decode(path).Samples.ToArray(), Load(path).Samples.ToArray()) > 110);
    }

    [Theory]
    [InlineData("jfk_16k_mono.wav", "-b:a 16k -frame_duration 60")]
    [InlineData("jfk_16k_mono.wav", "-b:a 24k")]
    [InlineData("jfk_44k1_stereo_24bit.flac", "-b:a 96k")]
    public void Opus_is_as_long_as_libopus_says_and_almost_equal(string recording, string options)
    {
        var path = _encoded.Encode(recording, "opus", "-c:a libopus " + options);
        Assert.True(SignalToNoise.Of(_encoded.Decode(path, "-c:a libopus").Samples.ToArray(), Load(path).Samples.ToArray()) > 60);
    }

    [Fact]
    public void Mp3_is_found_after_tags_and_other_bytes()
    {
        var mp3 = File.ReadAllBytes(EncodedRecordings.Original("jfk_16k_mono.mp3"));
        var expected = Load(mp3).Samples;
        byte[] tag = [.. "ID3"u8, 4, 0, 0, 0, 0, 2, 0, .. new byte[256]];
        Assert.Equal(expected, Load([.. tag, .. mp3]).Samples);
        Assert.Equal(expected, Load([.. new byte[1000], .. mp3]).Samples);
        Assert.Equal(expected, Load([.. mp3, .. "TAG"u8, .. new byte[125]]).Samples);
    }

    [Fact]
    public void Mp3_at_8_kHz_is_left_to_ffmpeg()
    {
        var path = _encoded.Encode("jfk_16k_mono.wav", "mp3", "-c:a libmp3lame -ar 8000");
        Assert.Contains(
            "it is MP3 at 8000 Hz, so that it needs ffmpeg",
            Assert.Throws<VoiceException>(() => Load(path)).Message,
            StringComparison.Ordinal
        );
        Assert.InRange(AudioFile.Load(path, Cancel).Duration.TotalSeconds, 10.9, 11.2);
    }

    [Fact]
    public void A_damaged_flac_file_is_refused_by_its_checksums()
    {
        var flac = File.ReadAllBytes(EncodedRecordings.Original("librispeech_1688-142285-0000_15s.flac"));
        var inFrame = flac.ToArray();
        inFrame[flac.Length / 2] ^= 1;
        Assert.Contains("checksum", Assert.Throws<VoiceException>(() => Load(inFrame)).Message, StringComparison.Ordinal);

        const int Digest = 26;
        var inDigest = flac.ToArray();
        inDigest[Digest] ^= 1;
        Assert.Contains("MD5", Assert.Throws<VoiceException>(() => Load(inDigest)).Message, StringComparison.Ordinal);

        Array.Clear(inDigest, Digest, 16); // unknown, as streams have it
        Assert.Equal(Load(flac).Samples, Load(inDigest).Samples);
    }

    [Fact]
    public void A_damaged_ogg_page_is_refused()
    {
        var opus = File.ReadAllBytes(_encoded.Encode("jfk_16k_mono.wav", "opus", "-c:a libopus"));
        opus[opus.Length / 2] ^= 1;
        Assert.Contains("checksum", Assert.Throws<VoiceException>(() => Load(opus)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("wav", "-c:a pcm_s16le")]
    [InlineData("wv", "-c:a wavpack")]
    public void Rates_beyond_those_of_recordings_are_refused_before_anything_is_decoded(string extension, string options)
    {
        EncodedRecordings.SkipWithoutFfmpeg();
        var path = Path.Combine(_encoded.Folder, "high." + extension);
        EncodedRecordings.Run("-f lavfi -i anullsrc=r=768000:cl=mono -t 60 " + options, path);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<VoiceException>(() => AudioFile.Load(path, Cancel));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 8 << 20);
    }

    [Fact]
    public void M4a_is_decoded_with_its_index_at_either_end()
    {
        var atEnd = _encoded.Encode("jfk_16k_mono.wav", "m4a", "-c:a aac");
        var samples = AudioFile.Load(atEnd, Cancel).Samples;
        var atStart = _encoded.Encode("jfk_16k_mono.wav", "m4a", "-c:a aac -movflags +faststart");
        Assert.Equal(samples, AudioFile.Load(atStart, Cancel).Samples);
    }

    /// <summary>What names other files or addresses never reaches ffmpeg as such: its own guess of a format is not asked for.</summary>
    [Theory]
    [InlineData("#EXTM3U\n#EXTINF:10,\nsecret.wav\n")]
    [InlineData("ffconcat version 1.0\nfile 'secret.wav'\n")]
    [InlineData("RIFF\0\0\0\0AVI LIST#EXTM3U\nfile:secret.wav\n")]
    [InlineData("OggS\nfile 'secret.wav'\n")]
    [InlineData("<?xml version=\"1.0\"?><MPD><BaseURL>secret.wav</BaseURL></MPD>")]
    [InlineData("concat:secret.wav|secret.wav")]
    public void Nothing_but_the_recording_itself_is_opened(string content)
    {
        File.Copy(EncodedRecordings.Original("jfk_16k_mono.wav"), Path.Combine(_encoded.Folder, "secret.wav"));
        var path = Path.Combine(_encoded.Folder, "list.wav");
        File.WriteAllText(path, content);
        Assert.Throws<VoiceException>(() => AudioFile.Load(path, Cancel));
    }

    [Fact]
    public async Task Ffmpeg_is_ended_with_the_request()
    {
        var path = _encoded.Encode("jfk_16k_mono.wav", "m4a", "-c:a aac");
        using var stop = new CancellationTokenSource();
        using var endless = new Endless(await File.ReadAllBytesAsync(path, Cancel), stop);
        var program = new FfmpegProgram(FfmpegProgram.DefaultName);
        var source = new RecordingSource("endless", null, stop.Token);
        var decoding = Task.Run(() => new FfmpegDecoder(program).Decode(endless, FfmpegDemuxer.Mov, source), Cancel);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => decoding.WaitAsync(TimeSpan.FromSeconds(60), Cancel));
    }

    private static AudioClip Load(string path) => AudioFile.Load(path, AudioFile.DefaultLongest, WithoutFfmpeg, Cancel);

    private static AudioClip Load(byte[] file) => AudioFile.Load(new MemoryStream(file), AudioFile.DefaultLongest, WithoutFfmpeg, Cancel);

    /// <summary>A file whose rest never comes, until the request is cancelled as it is waited for.</summary>
    private sealed class Endless(byte[] beginning, CancellationTokenSource stop) : MemoryStream(beginning[..(beginning.Length / 2)])
    {
        public override int Read(Span<byte> buffer)
        {
            var read = base.Read(buffer);
            if (read == 0)
            {
                stop.Cancel();
            }

            return read;
        }
    }
}

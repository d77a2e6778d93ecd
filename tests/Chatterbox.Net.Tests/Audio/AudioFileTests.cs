using Chatterbox.Audio;
using Chatterbox.Audio.Ffmpeg;

namespace Chatterbox.Tests.Audio;

public sealed class AudioFileTests : IDisposable
{
    private readonly EncodedRecordings _encoded = new();

    private string Folder => _encoded.Folder;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => _encoded.Dispose();

    [Theory]
    [InlineData("jfk_16k_mono.mp3", 16000, 10.9, 11.2)]
    [InlineData("jfk_48k_stereo.mp3", 48000, 7.4, 7.6)]
    [InlineData("jfk_44k1_stereo_24bit.flac", 44100, 10.9, 11.1)]
    [InlineData("librispeech_1688-142285-0000_15s.flac", 16000, 14.99, 15.01)]
    public void Other_formats_are_decoded_at_their_own_rate(string name, int rate, double shortest, double longest)
    {
        var clip = AudioFile.Load(Recording(name), Cancel);
        Assert.Equal(rate, clip.SampleRate);
        Assert.InRange(clip.Duration.TotalSeconds, shortest, longest);
        Assert.InRange(clip.Samples.ToArray().Max(Math.Abs), 0.1f, 1.5f);

        using var stream = File.OpenRead(Recording(name));
        Assert.Equal(clip.Samples, AudioFile.Load(stream, Cancel).Samples);
    }

    [Theory]
    [InlineData("flac", "-c:a flac")]
    [InlineData("wav", "-c:a pcm_s24le")]
    [InlineData("aiff", "-c:a pcm_s16be")]
    [InlineData("mka", "-c:a flac")]
    public void Lossless_formats_give_the_samples_of_the_wav_file(string extension, string options)
    {
        SkipWithoutFfmpeg();
        var expected = WavFile.Read(Recording("jfk_16k_mono.wav"), cancellationToken: Cancel);
        var actual = AudioFile.Load(Encode("jfk_16k_mono.wav", extension, options), Cancel);
        Assert.Equal(expected.SampleRate, actual.SampleRate);
        Assert.Equal(expected.Samples, actual.Samples);
    }

    [Fact]
    public void Stereo_of_24_bits_is_the_same_by_either_way()
    {
        SkipWithoutFfmpeg();
        var wav = WavFile.Read(Encode("jfk_44k1_stereo_24bit.flac", "wav", "-c:a pcm_s24le"), cancellationToken: Cancel);
        Assert.Equal(wav.Samples, AudioFile.Load(Recording("jfk_44k1_stereo_24bit.flac"), Cancel).Samples);
    }

    [Theory]
    [InlineData("m4a", "-c:a aac")]
    [InlineData("ogg", "-c:a libvorbis")]
    [InlineData("opus", "-c:a libopus")]
    [InlineData("webm", "-c:a libopus")]
    [InlineData("aac", "-c:a aac")]
    [InlineData("wav", "-c:a adpcm_ima_wav")]
    [InlineData("wav", "-c:a pcm_mulaw")]
    public void Lossy_formats_sound_much_the_same(string extension, string options)
    {
        SkipWithoutFfmpeg();
        var clip = AudioFile.Load(Encode("jfk_16k_mono.wav", extension, options), Cancel);
        Assert.InRange(clip.Duration.TotalSeconds, 10.9, 11.2);
        var loudness = Loudness.Integrated(clip.Samples.ToArray(), clip.SampleRate);
        Assert.Equal(
            Loudness.Integrated(WavFile.Read(Recording("jfk_16k_mono.wav"), cancellationToken: Cancel).Samples.ToArray(), 16000),
            loudness,
            0.5
        );
    }

    [Fact]
    public void Channels_are_averaged_even_those_of_surround_sound()
    {
        SkipWithoutFfmpeg();
        var path = Encode("jfk_16k_mono.wav", "flac", "-filter_complex pan=5.1|FL=c0|FR=0*c0|FC=0*c0|LFE=0*c0|BL=0*c0|BR=0*c0");
        var expected = WavFile.Read(Recording("jfk_16k_mono.wav"), cancellationToken: Cancel).Samples.ToArray().Select(x => x / 6);
        Assert.Equal(expected, AudioFile.Load(path, Cancel).Samples.ToArray());
    }

    [Fact]
    public void The_content_decides_not_the_name()
    {
        var flacNamedWav = Path.Combine(Folder, "it's \"a\" -voice\\.wav");
        File.Copy(Recording("jfk_44k1_stereo_24bit.flac"), flacNamedWav);
        Assert.Equal(44100, AudioFile.Load(flacNamedWav, Cancel).SampleRate);

        var wavNamedMp3 = Path.Combine(Folder, "voice.mp3");
        File.Copy(Recording("jfk_16k_mono.wav"), wavNamedMp3);
        Assert.Equal(176000, AudioFile.Load(wavNamedMp3, Cancel).Samples.Length);
    }

    [Fact]
    public void Wav_needs_neither_ffmpeg_nor_a_seekable_stream()
    {
        var bytes = File.ReadAllBytes(Recording("jfk_16k_mono.wav"));
        var expected = WavFile.Read(new MemoryStream(bytes), cancellationToken: Cancel).Samples;
        Assert.Equal(expected, AudioFile.Load(Recording("jfk_16k_mono.wav"), Cancel).Samples);
        Assert.Equal(expected, AudioFile.Load(new Trickle(bytes, 5000), Cancel).Samples);

        using var behindOtherBytes = new MemoryStream([1, 2, 3, .. bytes]);
        behindOtherBytes.Position = 3;
        Assert.Equal(expected, AudioFile.Load(behindOtherBytes, Cancel).Samples);
    }

    [Theory]
    [InlineData("notes.txt", "This is not a recording. It is a text, and it goes on for a while without any sound in it.")]
    [InlineData("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n")]
    [InlineData("list.ffconcat", "ffconcat version 1.0\nfile 'jfk.wav'\n")]
    [InlineData("page.mp3", "<html><body>404 Not Found</body></html>")]
    public void What_is_no_audio_is_refused(string name, string content)
    {
        File.Copy(Recording("jfk_16k_mono.wav"), Path.Combine(Folder, "jfk.wav"));
        var path = Path.Combine(Folder, name);
        File.WriteAllText(path, content);
        var error = Assert.Throws<VoiceException>(() => AudioFile.Load(path, Cancel));
        Assert.StartsWith($"{name}: there is no sound in it", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Noise_and_pictures_and_cut_files_are_refused()
    {
        var noise = new byte[200_000];
        new Random(7).NextBytes(noise);
        var flac = File.ReadAllBytes(Recording("jfk_44k1_stereo_24bit.flac"));
        foreach (
            var content in new[]
            {
                noise,
                [0x89, .. "PNG\r\n\u001a\n"u8, .. new byte[500]],
                [.. "PK\x3\x4"u8, .. noise[..5000]],
                new byte[5000],
                flac[..60],
            }
        )
        {
            Assert.Throws<VoiceException>(() => AudioFile.Load(new MemoryStream(content), Cancel));
        }
    }

    [Fact]
    public void A_file_cut_in_the_middle_gives_its_beginning()
    {
        var flac = File.ReadAllBytes(Recording("librispeech_1688-142285-0000_15s.flac"));
        var clip = AudioFile.Load(new MemoryStream(flac[..(flac.Length / 2)]), Cancel);
        Assert.InRange(clip.Duration.TotalSeconds, 5, 10);
    }

    [Fact]
    public void An_empty_or_missing_file_is_refused()
    {
        var path = Path.Combine(Folder, "empty.mp3");
        File.WriteAllBytes(path, []);
        Assert.StartsWith(
            "empty.mp3: it is empty",
            Assert.Throws<VoiceException>(() => AudioFile.Load(path, Cancel)).Message,
            StringComparison.Ordinal
        );
        Assert.Throws<VoiceException>(() => AudioFile.Load(new MemoryStream(), Cancel));
        Assert.Throws<VoiceException>(() => AudioFile.Load(new Trickle([], 1), Cancel));
        Assert.Throws<VoiceException>(() => AudioFile.Load(Path.Combine(Folder, "missing.mp3"), Cancel));
        Assert.Throws<VoiceException>(() => AudioFile.Load(Folder, Cancel));
    }

    [Theory]
    [InlineData("flac", "-t 10800 -c:a flac", "it lasts 03:00:00")]
    [InlineData("ogg", "-t 1800 -c:a flac", "it lasts at least 00:10:")]
    [InlineData("mp3", "-t 1800 -ar 16000 -c:a libmp3lame -b:a 32k", "it lasts 00:30:0")]
    [InlineData("m4a", "-t 1800 -c:a aac -b:a 24k", "it lasts at least 00:10:")]
    [InlineData("opus", "-t 1800 -c:a libopus -b:a 6k", "it lasts at least 00:10:")]
    public void Hours_are_refused_while_they_are_decoded(string extension, string options, string expected)
    {
        SkipWithoutFfmpeg();
        var path = Path.Combine(Folder, "long." + extension);
        EncodedRecordings.Run("-f lavfi -i anullsrc=r=8000:cl=mono " + options, path);
        var error = Assert.Throws<VoiceException>(() => AudioFile.Load(path, Cancel));
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        Assert.Contains("expected at most 00:10:00", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_limit_can_be_set_and_holds_for_files_that_do_not_know_their_length()
    {
        SkipWithoutFfmpeg();
        Assert.Throws<VoiceException>(() => AudioFile.Load(Recording("jfk_16k_mono.mp3"), TimeSpan.FromSeconds(5), Cancel));
        Assert.Throws<VoiceException>(() => AudioFile.Load(Recording("jfk_16k_mono.wav"), TimeSpan.FromSeconds(5), Cancel));

        var streamed = Encode("jfk_16k_mono.wav", "webm", "-c:a libopus -live 1");
        Assert.Contains(
            "expected at most 00:00:05",
            Assert.Throws<VoiceException>(() => AudioFile.Load(streamed, TimeSpan.FromSeconds(5), Cancel)).Message,
            StringComparison.Ordinal
        );
        Assert.InRange(AudioFile.Load(streamed, TimeSpan.FromSeconds(12), Cancel).Duration.TotalSeconds, 10.9, 11.2);
    }

    [Fact]
    public void Loading_can_be_cancelled()
    {
        Assert.ThrowsAny<OperationCanceledException>(() =>
            AudioFile.Load(Recording("jfk_16k_mono.mp3"), new CancellationToken(canceled: true))
        );
    }

    [Fact]
    public void No_temporary_file_is_left()
    {
        var before = TemporaryFiles();
        Assert.Throws<VoiceException>(() => AudioFile.Load(new MemoryStream("not audio at all"u8.ToArray()), Cancel));
        AudioFile.Load(new MemoryStream(File.ReadAllBytes(Recording("jfk_16k_mono.mp3"))), Cancel);

        // Another test process may have files of its own for a moment.
        Assert.True(SpinWait.SpinUntil(() => !TemporaryFiles().Except(before).Any(), Waits.Limit));

        static string[] TemporaryFiles() => Directory.GetFiles(Path.GetTempPath(), "chatterbox-*");
    }

    [Fact]
    public void Where_ffmpeg_is_missing_the_error_says_what_for_and_how_to_get_it()
    {
        SkipWithoutFfmpeg();
        var path = _encoded.Encode("jfk_16k_mono.wav", "m4a", "-c:a aac");
        var decoder = new RecordingDecoder(new FfmpegProgram("/no/such/ffmpeg"));
        var error = Assert.Throws<VoiceException>(() => AudioFile.Load(path, AudioFile.DefaultLongest, decoder, Cancel)).Message;
        foreach (
            var part in new[]
            {
                "encoded.m4a: ",
                "needs ffmpeg",
                "/no/such/ffmpeg",
                "apt install ffmpeg",
                "winget install ffmpeg",
                "brew install ffmpeg",
                "MP3",
            }
        )
        {
            Assert.Contains(part, error, StringComparison.Ordinal);
        }
    }

    private static void SkipWithoutFfmpeg() => EncodedRecordings.SkipWithoutFfmpeg();

    private static string Recording(string name) => EncodedRecordings.Original(name);

    private string Encode(string recording, string extension, string options) => _encoded.Encode(recording, extension, options);
}

using System.Diagnostics;
using Chatterbox.Audio;
using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests.Audio;

public sealed class AudioFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("chatterbox-audio-").FullName;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("jfk_16k_mono.mp3", 16000, 10.9, 11.2)]
    [InlineData("jfk_48k_stereo.mp3", 48000, 7.4, 7.6)]
    [InlineData("jfk_44k1_stereo_24bit.flac", 44100, 10.9, 11.1)]
    [InlineData("librispeech_1688-142285-0000_15s.flac", 16000, 14.99, 15.01)]
    public void Other_formats_are_decoded_at_their_own_rate(string name, int rate, double shortest, double longest)
    {
        SkipWithoutFfmpeg();
        var clip = AudioFile.Load(Recording(name), Cancel);
        Assert.Equal(rate, clip.SampleRate);
        Assert.InRange(clip.Duration.TotalSeconds, shortest, longest);
        Assert.InRange(clip.Samples.Max(Math.Abs), 0.1f, 1.5f);

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
        var expected = WavFile.Read(Recording("jfk_16k_mono.wav"), cancel: Cancel);
        var actual = AudioFile.Load(Encode("jfk_16k_mono.wav", extension, options), Cancel);
        Assert.Equal(expected.SampleRate, actual.SampleRate);
        Assert.Equal(expected.Samples, actual.Samples);
    }

    [Fact]
    public void Stereo_of_24_bits_is_the_same_by_either_way()
    {
        SkipWithoutFfmpeg();
        var wav = WavFile.Read(Encode("jfk_44k1_stereo_24bit.flac", "wav", "-c:a pcm_s24le"), cancel: Cancel);
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
        var loudness = Loudness.Integrated(clip.Samples, clip.SampleRate);
        Assert.Equal(Loudness.Integrated(WavFile.Read(Recording("jfk_16k_mono.wav"), cancel: Cancel).Samples, 16000), loudness, 0.5);
    }

    [Fact]
    public void Channels_are_averaged_even_those_of_surround_sound()
    {
        SkipWithoutFfmpeg();
        var path = Encode("jfk_16k_mono.wav", "flac", "-filter_complex pan=5.1|FL=c0|FR=0*c0|FC=0*c0|LFE=0*c0|BL=0*c0|BR=0*c0");
        var expected = WavFile.Read(Recording("jfk_16k_mono.wav"), cancel: Cancel).Samples.Select(x => x / 6);
        Assert.Equal(expected, AudioFile.Load(path, Cancel).Samples);
    }

    [Fact]
    public void The_content_decides_not_the_name()
    {
        SkipWithoutFfmpeg();
        var flacNamedWav = Path.Combine(_folder, "it's \"a\" -voice\\.wav");
        File.Copy(Recording("jfk_44k1_stereo_24bit.flac"), flacNamedWav);
        Assert.Equal(44100, AudioFile.Load(flacNamedWav, Cancel).SampleRate);

        var wavNamedMp3 = Path.Combine(_folder, "voice.mp3");
        File.Copy(Recording("jfk_16k_mono.wav"), wavNamedMp3);
        Assert.Equal(176000, AudioFile.Load(wavNamedMp3, Cancel).Samples.Length);
    }

    [Fact]
    public void Wav_needs_neither_ffmpeg_nor_a_seekable_stream()
    {
        var bytes = File.ReadAllBytes(Recording("jfk_16k_mono.wav"));
        var expected = WavFile.Read(new MemoryStream(bytes), cancel: Cancel).Samples;
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
        SkipWithoutFfmpeg();
        File.Copy(Recording("jfk_16k_mono.wav"), Path.Combine(_folder, "jfk.wav"));
        var path = Path.Combine(_folder, name);
        File.WriteAllText(path, content);
        var error = Assert.Throws<VoiceException>(() => AudioFile.Load(path, Cancel));
        Assert.StartsWith($"{name}: ffmpeg finds no sound in it", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Noise_and_pictures_and_cut_files_are_refused()
    {
        SkipWithoutFfmpeg();
        var noise = new byte[200_000];
        new Random(7).NextBytes(noise);
        var flac = File.ReadAllBytes(Recording("jfk_44k1_stereo_24bit.flac"));
        foreach (var content in new[] { noise, [0x89, .. "PNG\r\n\u001a\n"u8, .. new byte[500]], [.. "PK\x3\x4"u8, .. noise[..5000]], new byte[5000], flac[..60] })
        {
            Assert.Throws<VoiceException>(() => AudioFile.Load(new MemoryStream(content), Cancel));
        }
    }

    [Fact]
    public void A_file_cut_in_the_middle_gives_its_beginning()
    {
        SkipWithoutFfmpeg();
        var flac = File.ReadAllBytes(Recording("librispeech_1688-142285-0000_15s.flac"));
        var clip = AudioFile.Load(new MemoryStream(flac[..(flac.Length / 2)]), Cancel);
        Assert.InRange(clip.Duration.TotalSeconds, 5, 10);
    }

    [Fact]
    public void An_empty_or_missing_file_is_refused()
    {
        var path = Path.Combine(_folder, "empty.mp3");
        File.WriteAllBytes(path, []);
        Assert.StartsWith("empty.mp3: it is empty", Assert.Throws<VoiceException>(() => AudioFile.Load(path, Cancel)).Message, StringComparison.Ordinal);
        Assert.Throws<VoiceException>(() => AudioFile.Load(new MemoryStream(), Cancel));
        Assert.Throws<VoiceException>(() => AudioFile.Load(new Trickle([], 1), Cancel));
        Assert.Throws<VoiceException>(() => AudioFile.Load(Path.Combine(_folder, "missing.mp3"), Cancel));
        Assert.Throws<VoiceException>(() => AudioFile.Load(_folder, Cancel));
    }

    [Theory]
    [InlineData("flac", "-t 10800 -c:a flac", "03:00:0")]
    [InlineData("ogg", "-t 10800 -c:a flac", "03:00:0")]
    [InlineData("mp3", "-t 1800 -c:a libmp3lame -b:a 32k", "00:30:0")]
    [InlineData("m4a", "-t 1800 -c:a aac -b:a 24k", "00:30:0")]
    public void Hours_are_refused_before_they_are_decoded(string extension, string options, string length)
    {
        SkipWithoutFfmpeg();
        var path = Path.Combine(_folder, "long." + extension);
        Run("-f lavfi -i anullsrc=r=8000:cl=mono " + options, path);
        var watch = Stopwatch.StartNew();
        var error = Assert.Throws<VoiceException>(() => AudioFile.Load(path, Cancel));
        Close.Report($"{extension}: refused after {watch.ElapsedMilliseconds} ms: {error.Message}");
        Assert.Contains($"it lasts {length}", error.Message, StringComparison.Ordinal);
        Assert.Contains("expected at most 00:10:00", error.Message, StringComparison.Ordinal);
        Assert.InRange(watch.ElapsedMilliseconds, 0, 5000);
    }

    [Fact]
    public void The_limit_can_be_set_and_holds_for_files_that_do_not_know_their_length()
    {
        SkipWithoutFfmpeg();
        Assert.Throws<VoiceException>(() => AudioFile.Load(Recording("jfk_16k_mono.mp3"), TimeSpan.FromSeconds(5), Cancel));
        Assert.Throws<VoiceException>(() => AudioFile.Load(Recording("jfk_16k_mono.wav"), TimeSpan.FromSeconds(5), Cancel));

        var streamed = Encode("jfk_16k_mono.wav", "webm", "-c:a libopus -live 1");
        Assert.Contains("expected at most 00:00:05", Assert.Throws<VoiceException>(() => AudioFile.Load(streamed, TimeSpan.FromSeconds(5), Cancel)).Message, StringComparison.Ordinal);
        Assert.InRange(AudioFile.Load(streamed, TimeSpan.FromSeconds(12), Cancel).Duration.TotalSeconds, 10.9, 11.2);
    }

    [Fact]
    public void Loading_can_be_cancelled()
    {
        SkipWithoutFfmpeg();
        Assert.ThrowsAny<OperationCanceledException>(() => AudioFile.Load(Recording("jfk_16k_mono.mp3"), new CancellationToken(canceled: true)));
    }

    [Fact]
    public void No_temporary_file_is_left()
    {
        SkipWithoutFfmpeg();
        var before = TemporaryFiles();
        Assert.Throws<VoiceException>(() => AudioFile.Load(new MemoryStream("not audio at all"u8.ToArray()), Cancel));
        AudioFile.Load(new MemoryStream(File.ReadAllBytes(Recording("jfk_16k_mono.mp3"))), Cancel);

        // Another test process may have files of its own for a moment.
        Assert.True(SpinWait.SpinUntil(() => !TemporaryFiles().Except(before).Any(), 10_000));

        static string[] TemporaryFiles() => Directory.GetFiles(Path.GetTempPath(), "chatterbox-*");
    }

    [Fact]
    public void Where_ffmpeg_is_missing_the_error_says_how_to_get_it()
    {
        File.WriteAllText(Path.Combine(_folder, OperatingSystem.IsWindows() ? "ffprobe.exe" : "ffprobe"), "");
        var missing = Ffmpeg.WhatIsMissing(_folder);
        Assert.Contains("but ffmpeg cannot be found in PATH", missing, StringComparison.Ordinal);
        Assert.Contains("apt install ffmpeg", missing, StringComparison.Ordinal);
        Assert.Contains("winget install ffmpeg", missing, StringComparison.Ordinal);
        Assert.Contains("brew install ffmpeg", missing, StringComparison.Ordinal);
        Assert.Contains("ffmpeg and ffprobe cannot", Ffmpeg.WhatIsMissing("/no/such/folder"), StringComparison.Ordinal);
    }

    private static void SkipWithoutFfmpeg() => Assert.SkipWhen(Ffmpeg.WhatIsMissing() is not null, Ffmpeg.WhatIsMissing() ?? "");

    private static string Recording(string name) => Path.Combine(Fixtures.Root, "audio", name);

    private string Encode(string recording, string extension, string options)
    {
        var path = Path.Combine(_folder, "encoded." + extension);
        Run($"-i {Recording(recording)} {options}", path);
        return path;
    }

    private static void Run(string arguments, string output)
    {
        using var ffmpeg = Process.Start("ffmpeg", $"-v error -nostdin -y {arguments} {output}");
        ffmpeg.WaitForExit();
        Assert.SkipWhen(ffmpeg.ExitCode != 0, $"This ffmpeg cannot encode with '{arguments}'.");
    }
}

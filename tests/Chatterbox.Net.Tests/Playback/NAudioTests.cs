using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.Models;
using Chatterbox.NAudio;
using Chatterbox.Tests.Audio;
using Microsoft.Extensions.Logging.Abstractions;
using NAudio.Wave;
using NAudio.Wave.SampleProviders;

namespace Chatterbox.Tests.Playback;

/// <summary>Speech that NAudio reads, and recordings that it provides; no sound device is needed.</summary>
public sealed class NAudioTests : IDisposable
{
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(1);

    private readonly string _folder = Directory.CreateTempSubdirectory("chatterbox-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Speech_is_read_in_blocks_of_any_size_and_written_as_a_WAV_file()
    {
        float[][] chunks =
        [
            [.. Enumerable.Range(0, 1000).Select(i => MathF.Sin(i * 0.05f))],
            [],
            [0.25f],
            [.. Enumerable.Range(0, 700).Select(i => i / 1400f)],
        ];
        float[] all = [.. chunks.SelectMany(chunk => chunk)];
        foreach (var size in new[] { 1, 7, 1000, 5000 })
        {
            using var speech = new SpeechSampleProvider(Chunks(chunks));
            Assert.Equal(all, ReadAll(speech, size));
        }

        var path = Path.Combine(_folder, "speech.wav");
        using (var speech = new SpeechSampleProvider(Chunks(chunks)))
        {
            WaveFileWriter.CreateWaveFile(path, speech.ToWaveProvider());
        }

        var written = WavFile.Read(path);
        Assert.Equal((24_000, all.Length), (written.SampleRate, written.Samples.Length));
        Assert.Equal(all, written.Samples);
    }

    [Fact]
    public async Task Generation_runs_no_further_ahead_than_it_may()
    {
        var generated = 0;
        using var speech = new SpeechSampleProvider(Counted(), ahead: TimeSpan.FromSeconds(0.1)); // 2400 samples
        var buffer = new float[1000];
        Assert.Equal(1000, speech.Read(buffer));
        await Waits.Until(
            () => Volatile.Read(ref generated) == 4,
            "four blocks are generated: one that was read, two that may wait, one more"
        );
        Assert.Equal(1000, speech.Read(buffer));
        await Waits.Until(() => Volatile.Read(ref generated) == 5, "one more is generated for each that is read");
        Assert.Equal(98 * 1000, ReadAll(speech, 500).Length);

        async IAsyncEnumerable<AudioChunk> Counted()
        {
            await Task.Yield();
            for (var i = 0; i < 100; i++)
            {
                Interlocked.Increment(ref generated);
                yield return Chunk(new float[1000]);
            }
        }
    }

    [Fact]
    public void A_player_whose_clock_goes_on_gets_silence_until_there_is_speech()
    {
        var begins = new TaskCompletionSource();
        using var speech = new SpeechSampleProvider(Late()) { GivesSilenceWhileWaiting = true };
        var buffer = new float[] { 1, 1, 1 };
        Assert.Equal(3, speech.Read(buffer));
        Assert.Equal([0f, 0, 0], buffer);
        begins.SetResult();
        Assert.Equal([0.5f, 0.25f], ReadAll(speech, 1).Where(sample => sample != 0));

        async IAsyncEnumerable<AudioChunk> Late()
        {
            await begins.Task;
            yield return Chunk([0.5f, 0.25f]);
        }
    }

    [Fact]
    public void What_ends_the_speech_is_thrown_behind_what_was_heard()
    {
        using var speech = new SpeechSampleProvider(Failing());
        var buffer = new float[2];
        Assert.Equal(2, speech.Read(buffer));
        Assert.Contains("the reason", Assert.Throws<UnavailableException>(() => speech.Read(buffer)).Message, StringComparison.Ordinal);

        static async IAsyncEnumerable<AudioChunk> Failing()
        {
            await Task.Yield();
            yield return Chunk([0.5f, 0.25f]);
            throw new UnavailableException("the reason");
        }
    }

    [Fact]
    public void Speech_that_is_not_read_is_given_up()
    {
        var isGivenUp = false;
        var speech = new SpeechSampleProvider(Endless(TestContext.Current.CancellationToken));
        Assert.Equal(1, speech.Read(new float[1]));
        speech.Dispose();
        Assert.True(isGivenUp);
        Assert.Throws<ObjectDisposedException>(() => speech.Read(new float[1]));

        async IAsyncEnumerable<AudioChunk> Endless(
            [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken
        )
        {
            try
            {
                while (true)
                {
                    await Task.Yield();
                    cancellationToken.ThrowIfCancellationRequested();
                    yield return Chunk(new float[100]);
                }
            }
            finally
            {
                isGivenUp = true;
            }
        }
    }

    [Fact]
    public async Task An_engine_speaks_through_it()
    {
        var folder = Path.Combine(_folder, "tiny");
        SyntheticCheckpoint.Write("tiny", folder);
        await using var engine = new SpeechEngine(
            [() => ChatterboxModel.Load(folder, new() { Device = "cpu" })],
            new EngineOptions(),
            NullLogger<SpeechEngine>.Instance
        );
        var request = new SpeechRequest
        {
            Pieces = ["Hello there."],
            Sampling = new() { Seed = 1, MaxSpeechTokens = 60 },
        };
        float[][] takes =
        [
            .. Enumerable
                .Range(0, 2)
                .Select(_ =>
                {
                    using var speech = new SpeechSampleProvider(engine.StreamAsync(request));
                    return ReadAll(speech, 480);
                }),
        ];
        Assert.NotEmpty(takes[0]);
        Assert.Equal(takes[0], takes[1]);
    }

    [Fact]
    public void A_recording_is_mixed_to_one_channel_and_bounded()
    {
        var path = EncodedRecordings.Original("jfk_16k_mono.wav");
        var expected = AudioFile.Load(path);
        using (var reader = new WaveFileReader(path))
        {
            var clip = reader.ReadClip(Longest);
            Assert.Equal(expected.SampleRate, clip.SampleRate);
            Assert.Equal(expected.Samples, clip.Samples);
            Assert.Contains("no samples", Assert.Throws<VoiceException>(() => reader.ReadClip(Longest)).Message, StringComparison.Ordinal);
        }

        using var again = new WaveFileReader(path);
        var stereo = new MonoToStereoSampleProvider(again.ToSampleProvider()) { LeftVolume = 1, RightVolume = 0.5f };
        var mixed = stereo.ReadClip(Longest);
        Assert.Equal(expected.Samples.ToArray().Select(sample => 0.75f * sample), mixed.Samples.ToArray());

        using var tooLong = new WaveFileReader(path);
        Assert.Contains(
            "more than 2 s",
            Assert.Throws<VoiceException>(() => tooLong.ReadClip(TimeSpan.FromSeconds(2))).Message,
            StringComparison.Ordinal
        );
    }

    private static AudioChunk Chunk(float[] samples) => new(0, samples, EndsPiece: false, 0, 0);

    private static async IAsyncEnumerable<AudioChunk> Chunks(float[][] chunks)
    {
        foreach (var chunk in chunks)
        {
            await Task.Yield();
            yield return Chunk(chunk);
        }
    }

    private static float[] ReadAll(ISampleProvider provider, int size)
    {
        var (all, buffer) = (new List<float>(), new float[size]);
        while (provider.Read(buffer) is > 0 and var read)
        {
            all.AddRange(buffer.AsSpan(0, read));
        }

        return [.. all];
    }
}

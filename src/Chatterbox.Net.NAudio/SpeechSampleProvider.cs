using System.Threading.Channels;
using Chatterbox.Engine;
using NAudio.Wave;

namespace Chatterbox.NAudio;

/// <summary>Speech as NAudio plays it: one channel of float32 samples at 24 kHz, read while the rest is being generated.</summary>
/// <remarks>Generation runs ahead of playback by the given time and no further. <c>ToWaveProvider16()</c> of NAudio makes 16-bit PCM of it.
/// Reading is for one thread at a time.</remarks>
/// <example><code>
/// using var speech = new SpeechSampleProvider(engine.StreamAsync("Hello there."));
/// WaveFileWriter.CreateWaveFile16("hello.wav", speech);
/// </code></example>
public sealed class SpeechSampleProvider : ISampleProvider, IDisposable
{
    private readonly CancellationTokenSource _left = new();
    private readonly Channel<ReadOnlyMemory<float>> _blocks = Channel.CreateUnbounded<ReadOnlyMemory<float>>(
        new() { SingleReader = true, SingleWriter = true }
    );
    private readonly SemaphoreSlim _hasRoom = new(0);
    private readonly long _mostAhead;
    private readonly Task _generation;
    private ReadOnlyMemory<float> _block;
    private int _taken;
    private long _ahead; // samples that were generated and not yet read

    /// <summary>Begins to generate.</summary>
    /// <param name="speech">Chunks of speech, as
    /// <see cref="SpeechStreaming.StreamAsync(ISpeechEngine, string, Voice?, SamplingOptions?, string?, string, Chatterbox.Text.TextOptions?, CancellationToken)"/> gives them.</param>
    /// <param name="ahead">Speech that may wait to be read; 30 s if it is null.</param>
    public SpeechSampleProvider(IAsyncEnumerable<AudioChunk> speech, TimeSpan? ahead = null)
    {
        ArgumentNullException.ThrowIfNull(speech);
        _mostAhead = (long)((ahead ?? TimeSpan.FromSeconds(30)).TotalSeconds * SpeechResult.SampleRate);
        ArgumentOutOfRangeException.ThrowIfNegative(_mostAhead, nameof(ahead));
        _generation = Task.Run(() => Generate(speech));
    }

    /// <summary>Float32, 24 kHz, one channel.</summary>
    public WaveFormat WaveFormat { get; } = WaveFormat.CreateIeeeFloatWaveFormat(SpeechResult.SampleRate, channels: 1);

    /// <summary>What <see cref="Read"/> does where nothing has been generated yet: waits (false, the default), or gives silence (true), as
    /// a
    /// player needs it whose clock goes on.</summary>
    public bool GivesSilenceWhileWaiting { get; init; }

    /// <summary>Reads what comes next.</summary>
    /// <param name="buffer">Is filled from its beginning.</param>
    /// <returns>Samples read; 0 once all speech has been read.</returns>
    /// <exception cref="ChatterboxException">The speech could not be generated.</exception>
    public int Read(Span<float> buffer)
    {
        ObjectDisposedException.ThrowIf(_left.IsCancellationRequested, this);
        var read = 0;
        while (read < buffer.Length && (_taken < _block.Length || NextBlock(mayWait: read == 0 && !GivesSilenceWhileWaiting)))
        {
            var count = Math.Min(buffer.Length - read, _block.Length - _taken);
            _block.Span.Slice(_taken, count).CopyTo(buffer[read..]);
            (_taken, read) = (_taken + count, read + count);
        }

        if (read < buffer.Length && GivesSilenceWhileWaiting && !_blocks.Reader.Completion.IsCompleted)
        {
            buffer[read..].Clear();
            return buffer.Length;
        }

        return read;
    }

    /// <summary>Gives up what has not been generated.</summary>
    public void Dispose()
    {
        _left.Cancel();
        _generation.Wait();
        _left.Dispose();
        _hasRoom.Dispose();
    }

    private bool NextBlock(bool mayWait)
    {
        while (!_blocks.Reader.TryRead(out _block))
        {
            _block = default;
            _taken = 0;
            if (_blocks.Reader.Completion.IsCompleted)
            {
                _blocks.Reader.Completion.GetAwaiter().GetResult(); // throws what ended the speech
                return false;
            }

            if (!mayWait)
            {
                return false;
            }

            _ = _blocks.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult();
        }

        _taken = 0;
        if (Interlocked.Add(ref _ahead, -_block.Length) <= _mostAhead)
        {
            _hasRoom.Release();
        }

        return true;
    }

    private async Task Generate(IAsyncEnumerable<AudioChunk> speech)
    {
        Exception? failure = null;
        try
        {
            await foreach (var chunk in speech.WithCancellation(_left.Token).ConfigureAwait(false))
            {
                if (chunk.Samples.Length > 0)
                {
                    Interlocked.Add(ref _ahead, chunk.Samples.Length);
                    _blocks.Writer.TryWrite(chunk.Samples);
                }

                while (Interlocked.Read(ref _ahead) > _mostAhead)
                {
                    await _hasRoom.WaitAsync(_left.Token).ConfigureAwait(false);
                }
            }
        }
        catch (OperationCanceledException) when (_left.IsCancellationRequested)
        {
            // Nobody reads any more.
        }
        catch (Exception e)
        {
            failure = e;
        }

        _blocks.Writer.Complete(failure);
    }
}

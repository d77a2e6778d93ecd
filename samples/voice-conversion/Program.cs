// A recording in another voice.  dotnet run -- MODEL RECORDING VOICE OUTPUT
using Chatterbox;
using Chatterbox.Audio;

using var model = await ChatterboxModel.LoadAsync(args[0]);
var voice = model.CreateVoice(AudioFile.Load(args[2]));                // some seconds of the speaker
var progress = new Progress<SynthesisProgress>(state => Console.Error.WriteLine($"{state.Stage} {state.Fraction:P0}"));
var speech = model.ConvertVoice(AudioFile.Load(args[1]), voice, seed: 1, progress);
WavFile.Write(args[3], speech.Samples.Span, SpeechResult.SampleRate);
Console.WriteLine($"{args[3]}: {speech.Duration.TotalSeconds:0.0} s, watermark {model.DetectWatermark(new AudioClip(speech.Samples, SpeechResult.SampleRate)):0.00}");

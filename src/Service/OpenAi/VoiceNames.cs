using Chatterbox.Service.Models;
using Chatterbox.Service.Voices;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.OpenAi;

/// <summary>Names of voices as OpenAI's routes know them: the model's own, those of the folder, and the aliases.</summary>
internal sealed class VoiceNames(VoiceFolder folder, VoiceCache voices, IOptions<OpenAiOptions> options)
{
    private const string BuiltIn = "default";

    /// <summary>Every name.</summary>
    public OpenAiVoiceList List()
    {
        var own = folder.All().Select(v => new OpenAiVoice(v.Id, v.Id, v.IsVoiceFile ? "voice_file" : "recording")).Where(v => v.Id != BuiltIn).ToList();
        var aliases = options.Value.VoiceAliases.Where(a => own.All(v => v.Id != a.Key)).OrderBy(a => a.Key, StringComparer.Ordinal);
        return new OpenAiVoiceList(
            [new OpenAiVoice(BuiltIn, BuiltIn, "built_in"), .. own, .. aliases.Select(a => new OpenAiVoice(a.Key, a.Key, "alias", a.Value))]);
    }

    /// <summary>A model's voice of a name; null for the model's own. A voice of the folder goes before an alias of the same name.</summary>
    public async Task<Voice?> Find(string name, FleetModel model, CancellationToken cancel)
    {
        if (name == BuiltIn)
        {
            return null;
        }

        if (folder.Find(name) is { } entry)
        {
            return await voices.GetAsync(entry, model, cancel);
        }

        if (!options.Value.VoiceAliases.TryGetValue(name, out var target))
        {
            throw OpenAiErrors.NoVoice();
        }

        return target == BuiltIn ? null
            : folder.Find(target) is { } aliased ? await voices.GetAsync(aliased, model, cancel)
            : throw OpenAiErrors.NoVoice();
    }
}

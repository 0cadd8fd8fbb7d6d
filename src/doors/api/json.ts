import { JsonError, type JsonObject, parseObject as parse } from '../../core/json.ts';
import { ControlError } from '../errors.ts';

/** As core's, with an error that has a code. Throws ControlError `bad-json`. */
export function parseObject(text: string): JsonObject {
  try {
    return parse(text);
  } catch (error) {
    throw error instanceof JsonError ? new ControlError('bad-json', error.message) : error;
  }
}
